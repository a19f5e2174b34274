"""Imports every module of the installed twinsae; none may come from a checkout."""

import importlib
import pkgutil
from pathlib import Path

import twinsae

NEEDS_A_PEER = "twinsae.sae.plug.dictionary_learning"  # a subclass of its trainer
modules = [
    module.name
    for room in ("bench", "cli", "kernels", "matching", "sae")
    for path in twinsae.__path__
    for module in pkgutil.walk_packages([str(Path(path) / room)], f"twinsae.{room}.")
    if not module.name.rpartition(".")[2].startswith("bench_")  # pytest collects those
]
modules.remove(NEEDS_A_PEER)
for name in modules:
    try:
        loaded = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        assert missing.name == "triton", missing  # the only one that a module may need, for GPUs
        continue
    assert "site-packages" in str(loaded.__file__), loaded.__file__
assert "twinsae.kernels._native" in modules
print(f"imported {len(modules)} modules of the installed wheel")
