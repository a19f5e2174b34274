"""Describes the machine in one line, to stand beside a table of numbers."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

CPU_FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
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
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    name = names[0].strip() if names else platform.machine()
    features = [feature for feature in CPU_FEATURES if feature in text.split()]
    return f"{name} ({' '.join(features)})"
