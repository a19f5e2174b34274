"""Bare arrays in one file, by name: .safetensors, .npz or .pt. Nothing in a file is executed."""

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.files import atomic_write
from .paths import ARRAY_SUFFIXES
from .stored import StoredSAE, checked, make_config, refuse, turned
from .tensors import map_tensors, save_tensors


def load(file: Path) -> StoredSAE:
    """Return the SAE of a file with ``encoder.weight`` (L, D) or ``W_enc`` (D, L), and so on.

    With ``k``, a number, it is a TopK SAE; with ``threshold`` (L,) a JumpReLU one. Missing biases
    are 0.

    Raises:
        ValueError: the file is corrupt, lacks a matrix, or has neither ``k`` nor ``threshold``.
    """
    arrays = read_arrays(file)
    ours = {name: arrays[name] for name in _NAMES if name in arrays}
    for theirs, name, change in _FOREIGN:
        if theirs in arrays and name not in ours:
            ours[name] = change(arrays[theirs])
    if "encoder.weight" not in ours or ours["encoder.weight"].ndim != 2:
        raise ValueError(f"{file} has no encoder (L, D); it holds: {', '.join(arrays)}")
    num_latents, d_in = ours["encoder.weight"].shape
    fields: dict[str, Any] = {"d_in": d_in, "num_latents": num_latents, "normalize_decoder": False}
    if "k" in arrays:
        fields["k"] = int(arrays["k"])
    elif "threshold" in arrays:
        fields["activation"] = "jumprelu"
    else:
        raise ValueError(f"{file} has neither 'k' nor 'threshold': what is active is not known")
    fields["skip_connection"] = "W_skip" in arrays
    ours.setdefault("encoder.bias", ours["encoder.weight"].new_zeros(num_latents))
    ours.setdefault("b_dec", ours["encoder.weight"].new_zeros(d_in))
    config = make_config(file, fields)
    return StoredSAE(config, checked(config, ours, file))


def save(sae: StoredSAE, file: Path) -> None:
    """Write the parameters, and k, by our names.

    Raises:
        ValueError: the file's ending is not one of `ARRAY_SUFFIXES`, or its arrays could not tell
            what the SAE computes; the message names the setting.
        OSError: the write failed.
    """
    refuse(
        sae.config,
        "bare arrays",
        activation=("topk", "jumprelu"),
        transcode=(False,),
        normalization=("none",),
    )
    tensors = dict(sae.tensors)
    if sae.config.activation == "topk":
        tensors["k"] = torch.tensor(sae.config.k)
    if file.suffix not in ARRAY_SUFFIXES:
        raise ValueError(f"{file}: expected a file ending in one of {', '.join(ARRAY_SUFFIXES)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        save_tensors(file, tensors)
    elif file.suffix == ".pt":
        save_pt(file, tensors)
    else:
        save_npz(file, tensors)


def read_arrays(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors (memory-mapped), .npz or .pt file, by name.

    Raises:
        ValueError: the file is corrupt, or of another kind.
    """
    if file.suffix == ".safetensors":
        return map_tensors(file)
    if file.suffix == ".npz":
        return _read_npz(file)
    return {name: value for name, value in read_pt(file).items() if isinstance(value, Tensor)}


def read_pt(file: Path) -> dict[str, Any]:
    """Return the dict in a .pt file: tensors, numbers and text, but no other objects.

    Raises:
        ValueError: the file is corrupt, or holds something else.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} cannot be read as a .pt state dict: {reason}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{file} must hold a dict of tensors, not {type(state).__name__}")
    return {str(key): value for key, value in state.items()}


def save_pt(file: Path, state: Mapping[str, Any]) -> None:
    """Write a dict to a .pt file, atomically.

    Raises:
        OSError: the write failed.
    """
    # Tensors of our own memory: torch writes the whole file that a mapped one is a part of.
    own = {name: v.clone() if isinstance(v, Tensor) else v for name, v in state.items()}
    with atomic_write(file) as temporary:
        torch.save(own, temporary)


def save_npz(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a .npz file, atomically.

    Raises:
        OSError: the write failed.
        ValueError: a tensor is bfloat16, which numpy has not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bfloat16:
            raise ValueError(f"{file}: {name!r} is bfloat16, which .npz has not: use .safetensors")
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    with atomic_write(file) as temporary, temporary.open("wb") as out:
        np.savez(out, **arrays)


def _read_npz(file: Path) -> dict[str, Tensor]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            # Of others, which may be anything, the name only.
            return {
                key: torch.from_numpy(arrays[key]) if key in KNOWN else torch.empty(0)
                for key in arrays.files
            }
    except (ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read as .npz arrays: {error}") from error


_NAMES = ("encoder.weight", "encoder.bias", "W_dec", "b_dec", "threshold", "W_skip")
_FOREIGN: tuple[tuple[str, str, Callable[[Tensor], Tensor]], ...] = (
    ("W_enc", "encoder.weight", turned),
    ("b_enc", "encoder.bias", torch.Tensor.detach),
    ("decoder.weight", "W_dec", turned),
)
KNOWN = frozenset((*_NAMES, *(name for name, _, _ in _FOREIGN), "k"))
