"""Imports every module of the installed twinsae; none may come from a checkout."""

import importlib
import pkgutil
from pathlib import Path

import twinsae

# A GPU's kernels need triton; a plug-in is a subclass of dictionary_learning's trainer.
NOT_REQUIRED = ("triton", "dictionary-learning")
modules = [
    module.name
    for room in ("bench", "cli", "common", "kernels", "matching", "sae", "sweep")
    for path in twinsae.__path__
    for module in pkgutil.walk_packages([str(Path(path) / room)], f"twinsae.{room}.")
]
for name in modules:
    try:
        loaded = importlib.import_module(name)
    except ImportError as missing:
        if any(package in str(missing) for package in NOT_REQUIRED):
            continue
        raise
    assert "site-packages" in str(loaded.__file__), loaded.__file__
assert "twinsae.kernels._native" in modules
print(f"imported {len(modules)} modules of the installed wheel")
