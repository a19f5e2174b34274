"""All that a run finds, on disk as soon as it is known."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...common.files import atomic_write


@dataclass(frozen=True)
class Check:
    """One comparison of a kernel with the float64 reference."""

    kernel: str
    case: str
    dtype: str
    problem: str
    """How wrong it is; empty: right."""
    seconds: float


@dataclass(frozen=True)
class Timing:
    """One variant of one job at one shape."""

    op: str
    variant: str
    N: int
    D: int
    L: int
    k: int
    ms: float
    """Median."""
    p20: float
    p80: float
    rounds: int
    peak_bytes: int
    """Most memory during a call, above its inputs; results included."""
    tokens_per_second: float
    of_product: float | None
    """The encoder's bare cuBLAS product at the same shape, as a share of this time."""
    of_square: float | None
    """The encoder's operations per second, as a share of a large square cuBLAS product's."""
    redone: float | None
    """Share of rows that were not proved and were scored again."""


@dataclass(frozen=True)
class MatchTiming:
    """One whole match."""

    variant: str
    L: int
    D: int
    seconds: float
    peak_bytes: int
    """Of the device, above the dictionaries."""
    host_peak_bytes: int
    objective: float
    gap: float
    phases: dict[str, float]
    found: str
    """How much of what was planted."""


@dataclass
class Results:
    """What was found so far."""

    header: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    square_flops: float | None = None
    """Operations a second of a large square product."""
    tuned: dict[str, str] = field(default_factory=dict)
    """Shape -> the route and cut of the scan that were measured to be the fastest."""
    timings: list[Timing] = field(default_factory=list)
    matches: list[MatchTiming] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What is wrong, or could not run, and was not timed; with the reason."""
    wrong: bool = False
    """Whether any of it is a wrong result, or failure, of ours."""
    skipped: list[str] = field(default_factory=list)
    """What was left out or not reached, with the reason."""
    finished: bool = False

    def save(self, file: Path) -> None:
        """Write all of it as JSON, whole or not at all."""
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")
