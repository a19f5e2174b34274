"""What a harvest is of, in one hash: the model, the text and the settings."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ...common.files import sha256
from .config import HarvestConfig
from .rows import is_text_file
from .sources import BUILTIN, is_saved_data_set, locate_model, locate_text


def harvest_identity(config: HarvestConfig, **facts: object) -> str:
    """Return a SHA-256, in hexadecimal, of a model, a text and settings, without the hookpoints.

    Model and text count by the content of their files, wherever these lie. What is on the Hub
    counts by its name, and the built-in text by the version of Python.

    Args:
        config: what to collect.
        facts: JSON values that stand in place of settings or are added to them.

    Raises:
        FileNotFoundError: there is no such model or text.
        ImportError: the package with the model is not installed.
    """
    settings = asdict(config) | {
        "model": _model_identity(config.model),
        "text": _text_identity(config.text),
    }
    del settings["hookpoint"]
    return hashlib.sha256(json.dumps(settings | facts, sort_keys=True).encode()).hexdigest()


def _model_identity(name: str) -> str:
    where, gguf = locate_model(name)
    if gguf:
        return sha256(Path(where) / gguf)
    if not Path(where).exists():
        return f"hub {name}"
    return _digest(Path(where), (file for file in Path(where).iterdir() if file.is_file()))


def _text_identity(source: str) -> str:
    path = locate_text(source)
    if path is None:
        version = f" of Python {platform.python_version()}" if source == BUILTIN else ""
        return f"{source}{version}"
    if path.is_file():
        return _digest(path.parent, [path])
    files = [file for file in path.rglob("*") if file.is_file()]
    return _digest(path, files if is_saved_data_set(path) else filter(is_text_file, files))


def _digest(folder: Path, files: Iterable[Path]) -> str:
    found = sorted((file.relative_to(folder).as_posix(), sha256(file)) for file in files)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
