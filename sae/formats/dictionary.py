"""One side of an SAE, decoder or encoder, as a matrix (L, D), from whatever file holds it."""

import pickle
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .files import StrPath
from .tensors import map_tensors

Side = Literal["decoder", "encoder"]

WEIGHTS = "sae.safetensors"
LATENTS = "latents.safetensors"
_KEYS: dict[Side, str] = {"decoder": "W_dec", "encoder": "encoder.weight"}
_SUFFIXES = (".safetensors", ".npz", ".npy", ".pt")


def load_dictionary(path: StrPath, side: Side) -> Tensor:
    """Return one side of an SAE, memory-mapped where the format allows it.

    Args:
        path: an SAE folder (holding ``sae.safetensors``), or one file: .safetensors, .npz or .pt
            with the array ``W_dec`` or ``encoder.weight``, or .npy with the array itself. Nothing
            in a file is ever executed: .pt is read with ``weights_only=True``.
        side: "decoder" reads ``W_dec``, "encoder" reads ``encoder.weight``; of .npy either does.

    Returns:
        (L, D), in the dtype that is stored.

    Raises:
        FileNotFoundError: ``path`` does not exist or is a folder without ``sae.safetensors``.
        ValueError: the file is corrupt, lacks the array, or the array is not 2-D floating-point.
    """
    file = weight_file(Path(path))
    if file.suffix == ".npy":
        weight = _read_npy(file)
    else:
        arrays = _read_arrays(file)
        key = _KEYS[side]
        if key not in arrays:
            found = ", ".join(sorted(arrays)) or "nothing"
            raise ValueError(f"{file} has no {key!r} (the {side}); it holds: {found}")
        weight = arrays[key]
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(
            f"{file}: the {side} must be a 2-D floating-point array (num_latents, d_in), "
            f"not {weight.dtype} of shape {tuple(weight.shape)}"
        )
    return weight


def weight_file(path: Path) -> Path:
    """Return the file that `load_dictionary` reads for ``path``.

    Raises:
        FileNotFoundError: there is no such file, or the folder has no ``sae.safetensors``.
        ValueError: the file's ending is not one that is read.
    """
    if path.is_dir():
        path = path / WEIGHTS
        if not path.is_file():
            raise FileNotFoundError(f"{path.parent} is no SAE folder: it has no {WEIGHTS}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: expected an SAE folder or a file ending in {_SUFFIXES}")
    return path


def load_firing_counts(path: Path) -> Tensor | None:
    """Return on how many tokens each latent fired, (L,) int64, or None where that is not known.

    It is kept by training in ``latents.safetensors``, beside the ``sae.safetensors`` of the folder
    (or the file) ``path``.

    Raises:
        ValueError: the file is corrupt.
    """
    file = weight_file(path)
    counts = file.with_name(LATENTS)
    if file.name != WEIGHTS or not counts.is_file():
        return None
    tensors = map_tensors(counts)
    if "fired" not in tensors or tensors["fired"].ndim != 1:
        raise ValueError(f"{counts} has no 1-D array 'fired'; it holds: {', '.join(tensors)}")
    return tensors["fired"].to(torch.int64)


def _read_npy(file: Path) -> Tensor:
    try:
        # "c": pages are private to us, so that torch may see them as writable.
        return torch.from_numpy(np.load(file, mmap_mode="c", allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{file} cannot be read as a .npy array: {error}") from error


def _read_arrays(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return map_tensors(file)
    if file.suffix == ".npz":
        return _read_npz(file)
    return _read_pt(file)


def _read_npz(file: Path) -> dict[str, Tensor]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            wanted = [key for key in arrays.files if key in _KEYS.values()]
            found = {key: torch.from_numpy(arrays[key]) for key in wanted}
            return found or {key: torch.empty(0) for key in arrays.files}
    except (ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read as .npz arrays: {error}") from error


def _read_pt(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} cannot be read as a .pt state dict: {reason}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{file} must hold a dict of tensors, not {type(state).__name__}")
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
