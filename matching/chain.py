"""Chains of matches over layers or training steps: how far each latent goes, and how it drifts.

Matches of S_0 with S_1, S_1 with S_2, ... are composed: latent i of S_0 goes to its partner in S_1,
that one to its partner in S_2, and so on (https://arxiv.org/abs/2410.07656, section 3, composes
permutations over layers in this way). It survives up to step t if every cosine on the way is above
the threshold; its drift at t is 1 - the cosine of its own row with that of what it has become.

For example, with three latents, partners (1, 0, 2) and then (0, 2, 1), latent 0 becomes latent 1
and then latent 2. With cosines 0.9 and 0.6 on the way and threshold 0.7 it survives one step.

Where both SAEs of a step have thresholds (JumpReLU), the distance of the folded pairs is told, too,
as that paper defines it: the decoder's row times its threshold, the encoder's divided by it, which
changes no output, have squares of differences that count scales. Cosines do not.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common.files import StrPath
from ..common.tables import save_table
from ..sae import SAE, load_sae
from ..sae.formats.orientation import Side
from .criteria.overlap import THRESHOLD
from .mapping.match_mapped import MAP, MAP_ARRAYS
from .match_folder import OpenedMatch, open_match
from .rows import StoredRows

CHAIN_FORMAT = "twinsae-chain/1"

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Chain(NamedTuple):
    """What becomes of the L latents of the first SAE over T steps."""

    partner: Indices
    """(T, L) the latent at each step; -1 from where a latent has no partner."""
    cosine: Floats
    """(T, L) with the latent one step before; NaN without a partner."""
    to_first: Floats
    """(T, L) with the first SAE's latent, whose row is taken through the maps on the way, if
    any; NaN without a partner."""
    survived: NDArray[np.bool_]
    """(T, L) whether all cosines up to here are above the threshold."""
    folded_mse: Floats
    """(T, L) mean squared difference of the folded rows, per number, with the latent one step
    before; NaN where one of the two SAEs has no threshold above 0."""

    def steps(self) -> list[dict[str, float]]:
        """Return for each step the share that survived, and means over the latents that did."""
        means = []
        for number in range(len(self.partner)):
            alive = self.survived[number]
            values = {"cosine": self.cosine, "to_first": self.to_first, "mse": self.folded_mse}
            means.append({"step": number + 1, "survived": float(alive.mean())} | {
                name: float(column[number][alive].mean()) for name, column in values.items()
                if alive.any() and np.isfinite(column[number][alive]).all()
            })  # fmt: skip
        return means


def chain(
    matches: Sequence[StrPath], *, side: Side = "decoder", threshold: float = THRESHOLD
) -> Chain:
    """Follow the latents of the first SAE through matches, each of whose A is the B before.

    Args:
        matches: one or more folders that `match_files` or `match_mapped` wrote.
        side: "decoder" or "encoder": whose matching and rows.
        threshold: that every cosine of a surviving latent exceeds.

    Returns:
        The chain.

    Raises:
        FileNotFoundError: a folder is no match, or an SAE is gone.
        ValueError: there is no match, one has no such side, its A is not the B before, or a file
            is corrupt or has changed.
    """
    if not matches:
        raise ValueError("matches: expected one or more, got none")
    opened = [_Step(open_match(folder), side) for folder in matches]
    for before, after in pairwise(opened):
        if before.last != after.first:
            raise ValueError(
                f"{after.folder} does not go on from {before.folder}: its A has the SHA-256 "
                f"{after.first[:12]}, and the B before {before.last[:12]}"
            )
    return Chain(*map(np.stack, zip(*_followed(opened, threshold), strict=True)))


def save_chain(found: Chain, file: Path, matches: Sequence[StrPath], **facts: Any) -> None:
    """Write a chain as a tidy table, ``file`` and its description: one row a step and latent.

    The columns are ``step`` (1 to T), ``latent`` and those of `Chain`.

    Raises:
        OSError: a file could not be written.
    """
    steps, latents = found.partner.shape
    columns = {
        "step": np.repeat(np.arange(1, steps + 1), latents),
        "latent": np.tile(np.arange(latents), steps),
        **{name: column.reshape(-1) for name, column in found._asdict().items()},
    }
    given = [str(Path(folder).resolve()) for folder in matches]
    save_table(file, CHAIN_FORMAT, columns, {"matches": given, "steps": found.steps(), **facts})


class _Step:
    """One match of a chain."""

    def __init__(self, match: OpenedMatch, side: Side) -> None:
        if side not in match.sides:
            raise ValueError(f"{match.folder} has no matching of the {side}s")
        self.folder = match.folder
        self.a, self.b, matching, _ = match.sides[side]
        self.last = match.summary["inputs"]["b"]["sha256"]
        self.first = match.summary["inputs"]["a"]["sha256"]
        self.map: Floats | None = None
        self._paths = [match.summary["inputs"][name]["path"] for name in "ab"]
        if (match.folder / MAP).is_file():
            self.first = json.loads((match.folder / MAP).read_text())["of"]["sha256"]
            with np.load(match.folder / MAP_ARRAYS, allow_pickle=False) as stored:
                matrix = stored["matrix"]
            self.map = matrix if side == "decoder" else np.linalg.pinv(matrix).T
        # One more entry, for latents without a partner, whose number is -1.
        self.partner = np.full(self.a.num_latents + 1, -1, dtype=np.int64)
        self.cosine = np.full(self.a.num_latents + 1, np.nan)
        self.partner[matching.rows], self.cosine[matching.rows] = matching.cols, matching.cosine

    def folded_mse(self) -> Floats:
        """Return the mean squared difference of each latent of A and its partner, folded."""
        found = np.full(self.a.num_latents + 1, np.nan)
        if self.map is None:
            a, b = (load_sae(path) for path in self._paths)
            if a.threshold is not None and b.threshold is not None:
                rows = np.flatnonzero(self.partner[:-1] >= 0)
                for part in np.array_split(rows, max(1, len(rows) // 1024)):
                    found[part] = _squares(a, b, part, self.partner[part])
        return found


@torch.no_grad()
def _squares(a: SAE, b: SAE, rows: Indices, cols: Indices) -> Floats:
    left, right = _folded(a, torch.from_numpy(rows)), _folded(b, torch.from_numpy(cols))
    squares = (left - right).square().mean(dim=1)
    return squares.where(squares.isfinite(), torch.nan).numpy()


def _folded(sae: SAE, latents: Tensor) -> Tensor:
    assert sae.threshold is not None
    threshold = sae.threshold[latents].double()[:, None]
    rows = [sae.W_dec[latents] * threshold, sae.encoder.weight[latents] / threshold]
    return torch.cat(rows, dim=1).where(threshold > 0, torch.nan)


def _followed(steps: Sequence[_Step], threshold: float) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the rows of a `Chain`, step by step."""
    origin = steps[0].a  # of a match through a map it is mapped already
    now = np.arange(origin.num_latents)
    alive = np.ones(origin.num_latents, dtype=bool)
    through: Floats | None = None
    for number, step in enumerate(steps):
        cosine, mse = step.cosine[now], step.folded_mse()[now]
        now = step.partner[now]
        alive = alive & (cosine > threshold)
        if number and step.map is not None:
            through = step.map if through is None else through @ step.map
        yield now, cosine, _cosines(origin, through, step.b, now), alive, mse


def _cosines(a: StoredRows, through: Floats | None, b: StoredRows, partner: Indices) -> Floats:
    """Return the cosine of each row of ``a``, mapped, with its partner in ``b``."""
    found = np.full(a.num_latents, np.nan)
    width = a.d_in if through is None else through.shape[1]
    if width != b.d_in:
        return found
    for block in a.blocks():
        rows = np.arange(block.start, block.stop)[partner[block] >= 0]
        left, right = a.read(rows), b.read(partner[rows])
        left = left if through is None else left @ through
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        products = np.einsum("nd,nd->n", left, right)
        found[rows] = np.divide(products, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    return found
