"""Where SAEs lie in folders: names alone, nothing is read, so that a wrong path is told at once."""

import os
from pathlib import Path
from typing import Literal

from .layouts import LAYOUTS, SHARDS, WEIGHT_FILES

FormatName = Literal["native", "sparsify", "saelens", "dictionary_learning", "openai", "arrays"]
"""The formats that are written."""

ARRAY_SUFFIXES = (".safetensors", ".npz", ".pt")
"""Of single files that hold several arrays and that are written."""

READ_SUFFIXES = (*ARRAY_SUFFIXES, ".pth", ".npy")
"""Of single files that are read."""

_MOST_NAMED = 10  # SAEs in a message


def split_layer(path: Path) -> tuple[Path, int | None]:
    """Return a path without its "#layer=N", and N, which is None without."""
    name, mark, layer = path.name.rpartition("#layer=")
    if not mark or not layer.isdecimal() or path.exists():
        return path, None
    return path.with_name(name), int(layer)


def weight_file(path: Path) -> Path:
    """Return the file that `load_dictionary` reads for ``path``.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds no SAE; the message names
            those that are near.
        ValueError: the file's ending is not one that is read, or the folder holds several layers.
    """
    path, _ = split_layer(path)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise no_sae(path)
    if path.suffix not in READ_SUFFIXES and path.name != SHARDS:
        endings = ", ".join(READ_SUFFIXES)
        raise ValueError(f"{path}: expected an SAE folder or a file ending in one of {endings}")
    return path


def _of_folder(folder: Path) -> Path:
    index = folder / SHARDS
    for layout in LAYOUTS:
        sharded = SHARDS in layout.sidecars
        named = [index] if sharded else sorted(folder.glob(layout.weights))
        files = [file for file in named if file.is_file()]
        if files and "*" in layout.weights and not sharded:
            raise ValueError(
                f"{folder} holds {len(files)} layers: name one file, such as {files[0]}#layer=0"
            )
        if files:
            return files[0]
    raise no_sae(folder)


def find_saes(root: Path) -> list[Path]:
    """Return the SAE folders at or below ``root``, in order: hookpoints, their seeds, trainers."""
    found = {_folder_of(file, name) for name in WEIGHT_FILES for file in root.rglob(name)}
    return sorted(found)


def _folder_of(file: Path, name: str) -> Path:
    return file.parents[name.count("/")]


def sae_name(path: Path) -> str:
    """Return what an SAE is called: its folder's name, or its file's without the ending.

    That of a link is the link's own.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    return Path(absolute).name if path.is_dir() else path.stem


def no_sae(path: Path) -> FileNotFoundError:
    """Return the error that says that ``path`` is no SAE, and which ones are below or beside it."""
    if path.is_dir():
        problem = f"{path} is no SAE folder: it has no {', '.join(WEIGHT_FILES[:3])} or the like"
        return FileNotFoundError(f"{problem}; SAEs below it: {_listed(path, find_saes(path))}")
    problem = f"{path} does not exist"
    if path.exists() or not path.parent.is_dir():
        return FileNotFoundError(problem)
    beside = sorted(
        {_folder_of(file, name) for name in WEIGHT_FILES for file in path.parent.glob(f"*/{name}")}
    )
    near = f"; SAEs beside it: {_listed(path.parent, beside)}" if beside else ""
    return FileNotFoundError(f"{problem}{near}")


def _listed(root: Path, saes: list[Path]) -> str:
    names = [str(sae.relative_to(root)) for sae in saes[:_MOST_NAMED]]
    more = [f"{len(saes) - _MOST_NAMED:,} more"] if len(saes) > _MOST_NAMED else []
    return ", ".join(names + more) or "none"
