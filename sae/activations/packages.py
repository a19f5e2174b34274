"""Packages of the extra ``demo``, imported where they are needed."""

from importlib import import_module
from typing import Any


def datasets(what: str) -> Any:
    """Return the package ``datasets``; ``what`` needs it.

    Raises:
        ValueError: it is not installed; the message says how to get it.
    """
    return _package("datasets", what)


def pyarrow(what: str) -> Any:
    """Return the package ``pyarrow``, with ``compute``, ``ipc``, ``parquet`` and ``types``.

    Raises:
        ValueError: it is not installed; the message says how to get it.
    """
    package = _package("pyarrow", what)
    for part in ("compute", "ipc", "parquet", "types"):
        import_module(f"pyarrow.{part}")
    return package


def _package(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f'{what} needs {name}: pip install "twinsae[demo]" ({error})') from error
