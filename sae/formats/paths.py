"""Where SAEs lie in folders: names alone, nothing is read, so that a wrong path is told at once."""

import os
from pathlib import Path
from typing import Literal

FormatName = Literal["native", "sparsify", "saelens", "dictionary_learning", "openai", "arrays"]

SPARSIFY = "sae.safetensors"
SAELENS = "sae_weights.safetensors"
DICTIONARY_LEARNING = "ae.pt"
WEIGHT_FILES: dict[str, FormatName] = {
    SPARSIFY: "native",
    SAELENS: "saelens",
    DICTIONARY_LEARNING: "dictionary_learning",
}
"""The file that makes a folder an SAE, and the format that it tells."""

ARRAY_SUFFIXES = (".safetensors", ".npz", ".pt")
"""Of single files that hold several arrays."""

_MOST_NAMED = 10  # SAEs in a message


def weight_file(path: Path) -> Path:
    """Return the file that `load_dictionary` reads for ``path``.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds no SAE; the message names
            those that are near.
        ValueError: the file's ending is not one that is read.
    """
    if path.is_dir():
        found = [path / name for name in WEIGHT_FILES if (path / name).is_file()]
        if not found:
            raise no_sae(path)
        return found[0]
    if not path.is_file():
        raise no_sae(path)
    if path.suffix not in (*ARRAY_SUFFIXES, ".npy"):
        endings = ", ".join((*ARRAY_SUFFIXES, ".npy"))
        raise ValueError(f"{path}: expected an SAE folder or a file ending in one of {endings}")
    return path


def find_saes(root: Path) -> list[Path]:
    """Return the SAE folders at or below ``root``, in order: hookpoints, their seeds, trainers."""
    found = {file.parent for name in WEIGHT_FILES for file in root.rglob(name)}
    return sorted(found)


def sae_name(path: Path) -> str:
    """Return what an SAE is called: its folder's name, or its file's without the ending.

    That of a link is the link's own.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    return Path(absolute).name if path.is_dir() else path.stem


def no_sae(path: Path) -> FileNotFoundError:
    """Return the error that says that ``path`` is no SAE, and which ones are below or beside it."""
    if path.is_dir():
        problem = f"{path} is no SAE folder: it has no {', '.join(WEIGHT_FILES)}"
        return FileNotFoundError(f"{problem}; SAEs below it: {_listed(path, find_saes(path))}")
    problem = f"{path} does not exist"
    if path.exists() or not path.parent.is_dir():
        return FileNotFoundError(problem)
    beside = sorted(
        {file.parent for name in WEIGHT_FILES for file in path.parent.glob(f"*/{name}")}
    )
    near = f"; SAEs beside it: {_listed(path.parent, beside)}" if beside else ""
    return FileNotFoundError(f"{problem}{near}")


def _listed(root: Path, saes: list[Path]) -> str:
    names = [str(sae.relative_to(root)) for sae in saes[:_MOST_NAMED]]
    more = [f"{len(saes) - _MOST_NAMED:,} more"] if len(saes) > _MOST_NAMED else []
    return ", ".join(names + more) or "none"
