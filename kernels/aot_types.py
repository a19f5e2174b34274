"""Describes one configuration in which a Triton kernel is compiled ahead of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

N, D, L, K = 8192, 4096, 131_072, 64
"""The shape of all predicted times: rows, d_in, latents, active latents. A match is L x L."""

Kind = Literal["half product", "product", "gather", "other"]
DTYPES = {"bf16": 2, "fp16": 2, "fp32": 4}  # bytes of a number
SCANNED = {"bf16": "bf16", "fp16": "fp16", "fp32": "fp16"}
"""The dtype that a scan reads, by the dtype of its inputs."""


def pointers(**types: str) -> dict[str, str]:
    """Return the types of pointer arguments, given the types of their numbers."""
    return {f"{name}_ptr": f"*{number}" for name, number in types.items()}


def integers(names: str) -> dict[str, str]:
    """Return the types of integer arguments, whose names are separated by spaces."""
    return dict.fromkeys(names.split(), "i32")


PRICES = pointers(row_price="fp64", col_price="fp64", margin="fp64")


@dataclass(frozen=True)
class Build:
    """One kernel with one set of constants, and its predicted work at the shape above."""

    name: str
    kernel: str
    """The name of its function."""
    signature: dict[str, str]
    """Types of the arguments that are not constants."""
    constants: Mapping[str, int | float | str]
    """Values of the constants. Arguments in neither of the two are None."""
    warps: int
    stages: int
    kind: Kind
    flops: float
    """How many operations it makes."""
    moved: float
    """How many bytes of memory it reads and writes."""
    odd: tuple[str, ...] = field(default=())
    """Integer arguments that need not be multiples of 16."""
    archs: tuple[int, ...] = ()
    """Compute capabilities of the GPUs that it is for; () for all."""
