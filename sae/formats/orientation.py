"""Which axis of an SAE's matrices counts its latents: told by evidence, never guessed.

Public SAEs store W_enc and W_dec in every combination of (L, D) and (D, L), under the same names.
Each piece of evidence says of one matrix that its rows or its columns are latents; all of them must
agree. Where they do not, or where there are none, the SAE is refused, and the message has every
piece. The names ``W_enc`` and ``W_dec``, the file's ending and "the longer axis" are no evidence.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Side = Literal["decoder", "encoder"]
Axis = Literal["rows", "columns"]
Orientation = Literal["LD/LD", "LD/DL", "DL/LD", "DL/DL"]
"""The layout of the encoder's matrix, then of the decoder's: L latents, D numbers each."""

ORIENTATIONS: tuple[Orientation, ...] = ("LD/LD", "LD/DL", "DL/LD", "DL/DL")
SIDES: tuple[Side, ...] = ("decoder", "encoder")
_OTHER: dict[Axis, Axis] = {"rows": "columns", "columns": "rows"}

Shape = tuple[int, ...]
Sizes = tuple[int | None, int | None]


def sizes_in(settings: Mapping[str, Any], num_latents: str, d_in: str) -> Sizes:
    """Return L and D as settings say them under these keys; None for what is no positive number."""
    found = (settings.get(name) for name in (num_latents, d_in))
    first, second = (size if type(size) is int and size > 0 else None for size in found)
    return first, second


class Names(NamedTuple):
    """What the tensors of a layout are called, and what else tells its sizes."""

    encoder: str | None = None
    """The encoder's matrix; None: there is none."""
    decoder: str | None = None
    latents: tuple[str, ...] = ()
    """1-D tensors with one number for each latent; those that are missing say nothing."""
    outputs: tuple[str, ...] = ()
    """1-D tensors as wide as the decoder's latents."""
    linear: bool = False
    """The matrices are weights of linear layers, ``encoder.weight`` and ``decoder.weight``, which
    torch stores as (outputs, inputs)."""
    layout: Orientation | None = None
    """How a family that its sidecar names stores them."""
    family: str = ""
    """What is said of ``layout``: "cfg.json of SAELens"."""
    num_latents: int | None = None
    """L by the sidecar."""
    d_in: int | None = None
    """D by the sidecar."""

    def matrix(self, side: Side) -> str | None:
        """Return the name of a side's matrix."""
        return self.decoder if side == "decoder" else self.encoder


class Found(NamedTuple):
    """Which axis of each matrix counts latents, and what told it."""

    axes: dict[Side, Axis]
    """Of the matrices that are there."""
    evidence: tuple[str, ...]
    """Each piece in a few words, with its shape."""

    @property
    def layout(self) -> str:
        """How the matrices are stored: "encoder (D, L), decoder (L, D)"."""
        named = {"rows": "(L, D)", "columns": "(D, L)"}
        return ", ".join(f"{side} {named[self.axes[side]]}" for side in sorted(self.axes)[::-1])


class _Piece(NamedTuple):
    side: Side
    axis: Axis
    words: str


def orient(
    shapes: Mapping[str, Shape], names: Names, given: Orientation | None, source: str
) -> Found:
    """Return which axis of each matrix counts latents.

    Args:
        shapes: of all tensors of the file.
        names: what they are called.
        given: the user's own word, if any.
        source: the file's name, for messages.

    Raises:
        ValueError: a matrix is missing or not 2-D, a vector fits neither of its axes, pieces of
            evidence disagree, or there are none.
    """
    matrices: dict[Side, Shape] = {}
    for side in SIDES:
        name = names.matrix(side)
        if name is not None and name in shapes:
            matrices[side] = shapes[name]
            if len(shapes[name]) != 2 or not all(shapes[name]):
                raise ValueError(
                    f"{source}: {name!r} must be a matrix (num_latents, d_in) or its transpose, "
                    f"not of shape {tuple(shapes[name])}"
                )
    pieces = [
        *_of_vectors(shapes, matrices, names, source),
        *_of_sidecar(matrices, names),
        *_of_layouts(matrices, names, given),
    ]
    axes = _agreed(matrices, pieces, names, source)
    if len(axes) < len(matrices):
        axes, relation = _by_relation(matrices, axes, names)
        pieces += relation
    for side in matrices:
        if side not in axes:
            raise ValueError(
                f"{source}: nothing tells whether rows or columns of {names.matrix(side)!r} "
                f"{matrices[side]} are latents; say so by --orientation, one of "
                f"{', '.join(ORIENTATIONS)} (encoder/decoder)"
            )
    counts = {side: matrices[side][axis == "columns"] for side, axis in axes.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{names.matrix(side)!r} {matrices[side]}" for side in counts)
        raise ValueError(
            f"{source}: encoder and decoder have different numbers of latents: {found}"
        )
    return Found(axes, tuple(dict.fromkeys(piece.words for piece in pieces)))


def _of_vectors(
    shapes: Mapping[str, Shape], matrices: Mapping[Side, Shape], names: Names, source: str
) -> list[_Piece]:
    """Return what vectors of length L or D tell."""
    pieces = []
    groups: tuple[tuple[tuple[str, ...], tuple[Side, ...], bool], ...] = (
        (names.latents, ("decoder", "encoder"), True),
        (names.outputs, ("decoder",), False),
    )
    for vectors, sides, of_latents in groups:
        for vector in vectors:
            # One number may stand for all latents, as a threshold does.
            if len(shapes.get(vector, ())) != 1 or shapes[vector] == (1,):
                continue
            for side in sides:
                if side not in matrices:
                    continue
                axis = _axis(matrices[side], shapes[vector][0], of_latents)
                if axis == "neither":
                    raise ValueError(
                        f"{source}: {vector!r} has {shapes[vector][0]:,} numbers, which is neither "
                        f"side of {names.matrix(side)!r} {matrices[side]}"
                    )
                if axis is not None:
                    pieces.append(_Piece(side, axis, f"{vector} ({shapes[vector][0]},)"))
    return pieces


def _of_sidecar(matrices: Mapping[Side, Shape], names: Names) -> list[_Piece]:
    """Return what the sizes in the sidecar tell."""
    pieces = []
    for size, of_latents, what in (
        (names.num_latents, True, "num_latents"),
        (names.d_in, False, "d_in"),
    ):
        for side, shape in matrices.items():
            axis = None if size is None else _axis(shape, size, of_latents)
            if axis in ("rows", "columns"):
                pieces.append(_Piece(side, axis, f"{what} = {size} of the sidecar"))
    return pieces


def _of_layouts(
    matrices: Mapping[Side, Shape], names: Names, given: Orientation | None
) -> list[_Piece]:
    """Return what is known of whole layouts."""
    pieces = []
    for side in matrices:
        if names.linear:
            axis: Axis = "rows" if side == "encoder" else "columns"
            pieces.append(_Piece(side, axis, "names of linear layers, (outputs, inputs)"))
        for layout, words in ((names.layout, names.family), (given, f"--orientation {given}")):
            if layout is not None:
                encoder, decoder = layout.split("/")
                stored = decoder if side == "decoder" else encoder
                pieces.append(_Piece(side, "rows" if stored == "LD" else "columns", words))
    return pieces


def _axis(
    shape: Shape, size: int, of_latents: bool
) -> Literal["rows", "columns", "neither"] | None:
    """Return which axis counts latents if one has this size; None if both have it."""
    fits = [length == size for length in shape]
    if all(fits):
        return None
    if not any(fits):
        return "neither"
    return "rows" if fits[0] == of_latents else "columns"


def _agreed(
    matrices: Mapping[Side, Shape],
    pieces: list[_Piece],
    names: Names,
    source: str,
) -> dict[Side, Axis]:
    axes: dict[Side, Axis] = {}
    for side in matrices:
        own = [piece for piece in pieces if piece.side == side]
        if len({piece.axis for piece in own}) > 1:
            told = "; ".join(f"{piece.words}: latents are {piece.axis}" for piece in own)
            what = f"{names.matrix(side)!r} {matrices[side]}"
            raise ValueError(f"{source}: evidence about {what} disagrees: {told}")
        if own:
            axes[side] = own[0].axis
    return axes


def _by_relation(
    matrices: Mapping[Side, Shape], axes: dict[Side, Axis], names: Names
) -> tuple[dict[Side, Axis], list[_Piece]]:
    """Tell one matrix by the other: of unequal sides, one shape twice is one layout twice."""
    if len(matrices) < 2 or len(axes) != 1:
        return axes, []
    ((known, axis),) = axes.items()
    other: Side = "encoder" if known == "decoder" else "decoder"
    mine, its = matrices[known], matrices[other]
    if mine[0] == mine[1] or its not in (mine, mine[::-1]):
        return axes, []
    found = axis if its == mine else _OTHER[axis]
    words = f"{names.matrix(other)} {its} beside {names.matrix(known)} {mine}"
    return {**axes, other: found}, [_Piece(other, found, words)]
