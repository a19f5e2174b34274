"""One side of an SAE, decoder or encoder, as a matrix (L, D), from whatever file holds it."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...common.files import StrPath
from .layouts import SPARSIFY
from .npy import map_npy
from .orientation import Orientation, Side
from .paths import weight_file
from .registry import find_family
from .source import Source
from .tensors import map_tensors

LATENTS = "latents.safetensors"


class Dictionary(NamedTuple):
    """One side of an SAE, and how it was told which axis counts latents."""

    weight: Tensor
    """(L, D), in the dtype that is stored."""
    family: str
    """The layout's name: "gemma_scope"."""
    layout: str
    """How the file stores the matrices: "encoder (D, L), decoder (L, D)"."""
    evidence: tuple[str, ...]
    """What told so, each piece in a few words."""


def load_dictionary(path: StrPath, side: Side, *, orientation: Orientation | None = None) -> Tensor:
    """Return one side of an SAE, memory-mapped where the format allows it.

    Args:
        path: an SAE folder of any layout that the manual's page *Formats* lists, or one file, or
            .npy with the array (L, D) itself; of several layers, with "#layer=N". Nothing in a file
            is ever executed: .pt is read with ``weights_only=True``.
        side: "decoder" or "encoder"; of .npy either does.
        orientation: which axes of encoder/decoder are latents, "DL/LD" for W_enc (D, L) and W_dec
            (L, D), where nothing in the files tells it.

    Returns:
        (L, D), in the dtype that is stored, as it is stored: no norms are folded. A large matrix
        that is stored as (D, L) is turned in a temporary file.

    Raises:
        FileNotFoundError: ``path`` does not exist or is a folder without an SAE.
        ValueError: the file is corrupt, lacks the matrix, the matrix is not 2-D floating-point, or
            its orientation is not clear; the message has all evidence.
        OSError: the disk has no room for a turned matrix.
    """
    return read_dictionary(path, side, orientation=orientation).weight


def read_dictionary(
    path: StrPath, side: Side, *, orientation: Orientation | None = None
) -> Dictionary:
    """As `load_dictionary`, with what is known of the layout."""
    source = Source(Path(path), orientation=orientation)
    if source.file.suffix == ".npy":
        weight = map_npy(source.file)
        if weight.ndim != 2 or not weight.is_floating_point():
            raise ValueError(
                f"{source.file}: the {side} must be a 2-D floating-point array "
                f"(num_latents, d_in), not {weight.dtype} of shape {tuple(weight.shape)}"
            )
        return Dictionary(weight, "npy", "(L, D)", ("rows of a .npy file are latents",))
    family = find_family(source)
    names = family.names_of(source)
    weight, found = source.matrix(names, side), source.orient(names)
    return Dictionary(weight, family.name, found.layout, found.evidence)


def load_firing_counts(path: Path) -> Tensor | None:
    """Return on how many tokens each latent fired, (L,) int64, or None where that is not known.

    It is kept by training in ``latents.safetensors``, beside the ``sae.safetensors`` of the folder
    (or the file) ``path``.

    Raises:
        ValueError: the file is corrupt.
    """
    file = weight_file(path)
    counts = file.with_name(LATENTS)
    if file.name != SPARSIFY or not counts.is_file():
        return None
    tensors = map_tensors(counts)
    if "fired" not in tensors or tensors["fired"].ndim != 1:
        raise ValueError(f"{counts} has no 1-D array 'fired'; it holds: {', '.join(tensors)}")
    return tensors["fired"].to(torch.int64)
