"""Holds the results of a run, and writes them to disk."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...common.files import atomic_write
from ..measurement import Measurement


@dataclass(frozen=True)
class Check:
    """One comparison of a kernel with the float64 reference."""

    kernel: str
    case: str
    dtype: str
    problem: str
    """What is wrong and by how much; empty if the kernel is right."""
    seconds: float


@dataclass
class Results:
    """All results so far."""

    header: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    square_flops: float | None = None
    """Operations a second of a large square product."""
    timings: list[Measurement] = field(default_factory=list)
    """Times of the kernels; memory counts their results."""
    matches: list[Measurement] = field(default_factory=list)
    """Times of whole matches."""
    refused: list[str] = field(default_factory=list)
    """What is wrong, or could not run, with the reason; it was not timed."""
    wrong: bool = False
    """Whether any result of ours is wrong, or any of our kernels failed."""
    skipped: list[str] = field(default_factory=list)
    """What was left out or not reached, with the reason."""
    finished: bool = False

    def save(self, file: Path) -> None:
        """Write all as JSON; the file is replaced in one step."""
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")
