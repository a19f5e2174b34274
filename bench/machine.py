"""The machine in one line, for the title of a table of numbers."""

import platform
from pathlib import Path

import torch

CPU_FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
)  # fmt: skip


def describe() -> str:
    """Return versions, threads, processor and the instruction set that the kernels use."""
    from ..kernels import _native  # here, so that the command can say it where this is missing

    threads = torch.get_num_threads()
    return (
        f"float32, torch {torch.__version__}, {threads} threads, {processor()}; "
        f"twinsae's kernels: {_native.isa()}"
    )


def processor() -> str:
    """Return the processor's name and those of its features that matter here."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    name = names[0].strip() if names else platform.machine()
    features = [feature for feature in CPU_FEATURES if feature in text.split()]
    return f"{name} ({' '.join(features)})"
