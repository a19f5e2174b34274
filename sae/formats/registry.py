"""Every format by its name: which one a path is in, and loading and saving by it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import arrays, dictionary_learning, native, openai, saelens, sparsify
from .paths import ARRAY_SUFFIXES, WEIGHT_FILES, FormatName, no_sae
from .stored import StoredSAE


class Format(NamedTuple):
    """How one format is read and written."""

    load: Callable[[Path], StoredSAE]
    save: Callable[[StoredSAE, Path], None]
    suffix: str
    """Of its files; "" where an SAE is a folder."""


FORMATS: dict[FormatName, Format] = {
    "native": Format(native.load, native.save, ""),
    "sparsify": Format(native.load, sparsify.save, ""),
    "saelens": Format(saelens.load, saelens.save, ""),
    "dictionary_learning": Format(dictionary_learning.load, dictionary_learning.save, ""),
    "openai": Format(openai.load, openai.save, ".pt"),
    "arrays": Format(arrays.load, arrays.save, ".safetensors"),
}


def load(path: Path) -> StoredSAE:
    """Return what a folder or file of any format holds, as `load_sae` explains."""
    return FORMATS[find_format(path)].load(path)


def find_format(path: Path) -> FormatName:
    """Return the format of a folder or file, by the names of files or arrays.

    Raises:
        FileNotFoundError: there is no such path, or a folder that holds no SAE.
        ValueError: a file is corrupt or of no known kind.
    """
    if path.is_dir():
        for file, name in WEIGHT_FILES.items():
            if (path / file).is_file():
                return name
        raise no_sae(path)
    if not path.is_file():
        raise no_sae(path)
    if path.suffix not in ARRAY_SUFFIXES:
        raise ValueError(f"{path}: expected a file ending in one of {', '.join(ARRAY_SUFFIXES)}")
    if path.suffix != ".pt":
        return "arrays"
    names = arrays.read_pt(path).keys()
    if "pre_bias" in names:
        return "openai"
    ours = "W_dec" in names and "encoder.weight" in names
    return "arrays" if ours else "dictionary_learning"
