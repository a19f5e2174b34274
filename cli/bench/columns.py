"""The columns of a table of measurements."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...bench.measurement import OURS, Measurement
from ...common.units import format_bytes

Ways = Mapping[str, Measurement]
"""All measurements of one task, by way."""


class Column(NamedTuple):
    """One column of a table."""

    title: str
    cell: Callable[[Measurement, Ways], str]
    """The text of a cell, from a measurement and all measurements of its task."""
    meaning: str
    """A sentence that stands below the table."""


def _faster(one: Measurement, ways: Ways) -> str:
    ours = ways.get(OURS)
    return "" if ours is None or one is ours else f"{one.seconds / ours.seconds:.2f}x"


def _ms(seconds: float) -> str:
    ms = 1e3 * seconds
    return f"{ms:,.1f}" if ms >= 100 else f"{ms:.3f}"


MS = Column("ms", lambda one, _: _ms(one.seconds), "ms: the median.")
FASTER = Column(f"{OURS} is", _faster, f'"{OURS} is 2.00x": twice as fast as the way of the row.')
RATE = Column(
    "GFLOP/s",
    lambda one, _: f"{one.task.operations / one.seconds / 1e9:,.0f}",
    "GFLOP/s: the operations of the whole product, computed once, per second.",
)
MEMORY = Column(
    "peak memory",
    lambda one, _: format_bytes(one.peak_bytes),
    "Peak memory: of one call, beyond its inputs and results.",
)
NOTES = Column("notes", lambda one, _: "; ".join(one.notes), "")
