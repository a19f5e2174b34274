"""Imports every module of a twinsae that has no extras; none may come from a checkout."""

import importlib
import pkgutil
from pathlib import Path

import twinsae

# What is no requirement, and the modules that cannot be imported without it.
OPTIONAL = {
    "dictionary-learning": ("twinsae.sae.plug.dictionary_learning",),
    "jinja2": ("twinsae.matching.report.",),
    "markupsafe": ("twinsae.matching.report.",),
    "matplotlib": (
        "twinsae.bench.gpu.plot",
        "twinsae.matching.figures.",
        "twinsae.matching.report.",
        "twinsae.sweep.results",
    ),
    "triton": ("twinsae.cli.compiled_kernels", "twinsae.kernels."),
}
modules = [
    module.name
    for room in ("bench", "cli", "common", "kernels", "matching", "sae", "sweep")
    for path in twinsae.__path__
    for module in pkgutil.walk_packages([str(Path(path) / room)], f"twinsae.{room}.")
]
left_out = 0
for name in modules:
    try:
        loaded = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if name.startswith(OPTIONAL.get(missing.name or "", ())):
            left_out += 1
            continue
        raise
    assert "site-packages" in str(loaded.__file__), loaded.__file__
assert "twinsae.kernels._native" in modules
print(f"imported {len(modules) - left_out} modules of the wheel; {left_out} others need an extra")
