"""One side of an SAE, decoder or encoder, as a matrix (L, D), from whatever file holds it."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...common.files import StrPath
from .arrays import read_arrays
from .paths import SPARSIFY, weight_file
from .tensors import map_tensors

Side = Literal["decoder", "encoder"]

LATENTS = "latents.safetensors"
# The formats' names; linear layers from latents, and matrices to latents, are stored transposed.
_KEYS: dict[Side, tuple[tuple[str, bool], ...]] = {
    "decoder": (("W_dec", False), ("decoder.weight", True)),
    "encoder": (("encoder.weight", False), ("W_enc", True)),
}


def load_dictionary(path: StrPath, side: Side) -> Tensor:
    """Return one side of an SAE, memory-mapped where the format allows it.

    Args:
        path: an SAE folder of any format, or one file: .safetensors, .npz or .pt with the array
            ``W_dec`` (L, D) or ``decoder.weight`` (D, L), ``encoder.weight`` (L, D) or ``W_enc``
            (D, L), or .npy with the array (L, D) itself. Nothing in a file is ever executed: .pt is
            read with ``weights_only=True``.
        side: "decoder" or "encoder"; of .npy either does.

    Returns:
        (L, D), in the dtype that is stored, as it is stored: no norms are folded.

    Raises:
        FileNotFoundError: ``path`` does not exist or is a folder without an SAE.
        ValueError: the file is corrupt, lacks the array, or the array is not 2-D floating-point.
    """
    file = weight_file(Path(path))
    weight = _read_npy(file) if file.suffix == ".npy" else _find(file, side)
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(
            f"{file}: the {side} must be a 2-D floating-point array (num_latents, d_in), "
            f"not {weight.dtype} of shape {tuple(weight.shape)}"
        )
    return weight


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


def _find(file: Path, side: Side) -> Tensor:
    arrays = read_arrays(file)
    for key, transposed in _KEYS[side]:
        if key in arrays:
            return arrays[key].T if transposed and arrays[key].ndim == 2 else arrays[key]
    names = " or ".join(repr(key) for key, _ in _KEYS[side])
    found = ", ".join(sorted(arrays)) or "nothing"
    raise ValueError(f"{file} has no {names} (the {side}); it holds: {found}")


def _read_npy(file: Path) -> Tensor:
    try:
        # "c": pages are private to us, so that torch may see them as writable.
        return torch.from_numpy(np.load(file, mmap_mode="c", allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{file} cannot be read as a .npy array: {error}") from error
