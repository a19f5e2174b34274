"""SAEs from one format to another, with word of what has no place there."""

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from ..common.files import StrPath
from .config import SAEConfig
from .formats.layouts import WEIGHT_FILES
from .formats.paths import FormatName, find_saes
from .formats.registry import FORMATS, load
from .formats.source import SIDECARS
from .formats.stored import as_jumprelu
from .hub import locate


class Conversion(NamedTuple):
    """One SAE that was converted."""

    source: Path
    target: Path
    left: tuple[str, ...]
    """What the new files do not say, each in a few words."""


def convert(source: StrPath, target: StrPath, to: FormatName) -> list[Conversion]:
    """Write an SAE, or all SAEs below a folder, in another format.

    Args:
        source: what `load_sae` reads, names included, or a folder above such folders (hookpoints,
            seeds, trainers).
        target: the folder to write, or the file, for "openai" and "arrays"; of several SAEs the
            folder that takes them, under the names they have below ``source``.
        to: the format.

    Returns:
        What was written. All computes what it computed before: what the format cannot express is
        refused.

    Raises:
        FileNotFoundError: there is no SAE.
        ValueError: a file is corrupt, or ``to`` has no place for something that decides the result;
            the message names the setting.
        OSError: a file could not be written.
    """
    found = locate(source)
    source, target = found.path, Path(target)
    several = source.is_dir() and not any((source / name).is_file() for name in WEIGHT_FILES)
    saes = find_saes(source) if several else []
    if not saes:
        return [_convert(source, target, to, **found.settings)]
    suffix = FORMATS[to].suffix
    targets = [target / sae.relative_to(source) for sae in saes]
    return [
        _convert(sae, path.with_name(path.name + suffix), to)
        for sae, path in zip(saes, targets, strict=True)
    ]


def _convert(source: Path, target: Path, to: FormatName, **settings: Any) -> Conversion:
    sae = load(source, **settings)
    # No other format keeps what only training needs, or has several names for one function.
    FORMATS[to].save(sae if to == "native" else as_jumprelu(sae), target)
    again = load(target)
    left = (*sae.left, *_changed(sae.config, again.config), *_other_files(source))
    return Conversion(source, target, left)


def _changed(before: SAEConfig, after: SAEConfig) -> list[str]:
    """Return the settings that read otherwise now; the weights make up for them."""
    names = [field.name for field in fields(before) if field.name != "expansion_factor"]
    values = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return [f"{name} = {old}: now {new}" for name, old, new in values if old != new]


def _other_files(source: Path) -> list[str]:
    """Return the files beside the weights: training states, firing counts."""
    if not source.is_dir():
        return []
    read = {*WEIGHT_FILES, *SIDECARS, "activation_scaler.json"}
    files = sorted(file.name for file in source.iterdir() if file.is_file())
    return [f"file {name}" for name in files if name not in read]
