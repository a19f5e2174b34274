"""Running a part of a project that is not installed, from a checkout of its source."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock


def take(source: Path, module: str, *absent: str) -> ModuleType:
    """Import one module of a checkout, and of its packages not what their __init__ imports.

    Args:
        source: the folder that holds the top package.
        module: its full name.
        absent: modules that need what is not installed, and that are not called.
    """
    parts = module.split(".")
    for end in range(1, len(parts)):
        name = ".".join(parts[:end])
        package = ModuleType(name)
        package.__path__ = [str(source.joinpath(*parts[:end]))]
        sys.modules.setdefault(name, package)
    for name in absent:
        sys.modules.setdefault(name, MagicMock())
    return importlib.import_module(module)
