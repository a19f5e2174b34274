"""Describes the machine in one line, to stand beside a table of numbers."""

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata

import torch

from ..common.system import processor_features, processor_name

CPU_FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimddp",
)  # fmt: skip
PACKAGES = (
    "torch", "numpy", "scipy", "lapjv", "lapx", "ortools", "faiss-cpu", "eai-sparsify",
    "dictionary-learning", "sae-lens",
)  # fmt: skip
SLOWING = "OPENBLAS_CORETYPE"


def describe() -> str:
    """Return threads, processor, the instruction set that our kernels use, and versions."""
    from ..kernels import _native  # here, so that this file imports where the extension is missing

    return (
        f"float32, {torch.get_num_threads()} threads, {processor()}; "
        f"twinsae's kernels: {_native.isa()}; {', '.join(versions())}"
    )


def versions(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Return the names and versions of those packages that are installed."""
    found = []
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def warnings() -> list[str]:
    """Return lines that say what makes other libraries slow here, and how to avoid it."""
    if SLOWING not in os.environ:
        return []
    return [
        f"{SLOWING} is set, so products by numpy and faiss may be slower than they could be; "
        f"env -u {SLOWING} twinsae bench ... measures without it"
    ]


def processor() -> str:
    """Return the name of the processor and those of its features that our kernels use."""
    has = processor_features()
    features = [feature for feature in CPU_FEATURES if feature in has]
    return f"{processor_name()} ({' '.join(features)})" if features else processor_name()
