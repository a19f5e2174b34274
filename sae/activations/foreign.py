"""Activations that others wrote: files with one array, folders of such files, saved data sets."""

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.files import sha256
from ..formats.npy import map_npy
from ..formats.npz import NpzArrays
from ..formats.pt import load_pt
from ..formats.tensors import map_tensors
from .columns import arrow_columns, vectors
from .shards import Shard

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors")
"""Files that hold an array of activations."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def map_activations(path: Path) -> Tensor:
    """Return the floating array of a file in `SUFFIXES` as (rows, D).

    The file is memory-mapped; a compressed ``.npz`` goes to a temporary file, which is mapped.
    Arrays of integers beside it, such as token ids, are passed over. Nothing pickled is executed.

    Raises:
        ValueError: the file is corrupt, or does not hold just one (rows, D) or (N, T, D) array of
            floats.
    """
    return _flat(_array(path))


def open_file(path: Path) -> tuple[list[Shard], dict[str, Any]]:
    """Return the one shard of a file, and what to say of it: its ``file`` and ``shape``."""
    array = _array(path)
    tensor = _flat(array)
    return [Shard(path, len(tensor), lambda: tensor)], {
        "file": str(path),
        "shape": list(array.shape),
    }


def open_folder(folder: Path) -> tuple[list[Shard], dict[str, Any]]:
    """Return the shards of a folder: a saved data set, or files of `SUFFIXES` in name order.

    Raises:
        FileNotFoundError: there are no activations in it.
        ValueError: one cannot be read, or has another width than the others.
    """
    if (folder / "dataset_dict.json").exists():
        splits = json.loads((folder / "dataset_dict.json").read_text())["splits"]
        raise ValueError(
            f"activations {folder}: a data set with the splits {splits}; give the folder of one"
        )
    if (folder / "state.json").exists():
        shards = list(_saved_dataset(folder))
    else:
        files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
        shards = [shard for file in files for shard in open_file(file)[0]]
    if not shards:
        below = sorted(meta.parent.name for meta in folder.glob("*/meta.json"))
        stores = f"; it has stores in {', '.join(below)}: give one" if below else ""
        raise FileNotFoundError(
            f"activations {folder}: no meta.json in this folder, "
            f"no saved data set and no {', '.join(SUFFIXES)} file{stores}"
        )
    _check_widths(shards)
    return shards, {"file": str(folder)}


def _check_widths(shards: list[Shard]) -> None:
    first = shards[0]
    for shard in shards:
        if shard.tensor.shape[1] != first.tensor.shape[1]:
            raise ValueError(
                f"{shard.path} has activations of width {shard.tensor.shape[1]}, "
                f"{first.path} of {first.tensor.shape[1]}"
            )


def _flat(array: Tensor) -> Tensor:
    return array.reshape(-1, array.shape[-1])


def _array(path: Path) -> Tensor:
    """Return the one floating array of a file, (rows, D) or (N, T, D)."""
    read = _READ.get(path.suffix)
    if read is None:
        raise ValueError(f"activations {path}: expected a {', '.join(SUFFIXES)} file or a folder")
    tensors = read(path)
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if len(floating) != 1 and len(tensors) != 1:
        raise ValueError(f"{path}: expected one array of floats, found {_found(tensors)}")
    ((_, tensor),) = (floating or tensors).items()
    if tensor.ndim not in (2, 3) or not tensor.numel() or tensor.dtype not in _DTYPES:
        raise ValueError(
            f"{path}: expected a (rows, d_in) or (N, T, d_in) array of floats, "
            f"found {_says(tensor)}"
        )
    return tensor


def _found(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{name!r} of {_says(tensors[name])}" for name in sorted(tensors)) or "none"


def _says(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _read_npy(path: Path) -> dict[str, Tensor]:
    return {"array": map_npy(path, "an array of floats")}


def _read_npz(path: Path) -> dict[str, Tensor]:
    arrays = NpzArrays(path)
    kinds = {name: dtype.kind for name, (_, dtype) in arrays.headers().items()}
    # Others, such as text, are no tensors; what has no header, such as objects, is told when read.
    return {name: arrays[name] for name in arrays if kinds.get(name, "f") in "fiub"}


def _read_pt(path: Path) -> dict[str, Tensor]:
    loaded = load_pt(path, "tensors")
    named = loaded if isinstance(loaded, dict) else {"tensor": loaded}
    return {str(n): t.detach() for n, t in named.items() if isinstance(t, Tensor)}


_READ: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".safetensors": map_tensors,
}


def _saved_dataset(folder: Path) -> Iterator[Shard]:
    """Yield the record batches of a folder that ``datasets`` wrote, such as SAELens' caches."""
    state = json.loads((folder / "state.json").read_text())
    for entry in state["_data_files"]:
        file = folder / entry["filename"]
        identity = cache(partial(sha256, file))
        for number, column in enumerate(arrow_columns(file)):
            tensor = vectors(column, file)
            yield Shard(
                file,
                len(tensor),
                lambda tensor=tensor: tensor,  # type: ignore[misc]  # mypy cannot infer it
                lambda number=number, identity=identity: f"{identity()}:{number}",  # type: ignore[misc]
            )
