"""The columns of a table of measurements."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...bench.measurement import OURS, PRODUCT, Measurement
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


def of_square(square_flops: float | None) -> Column:
    """Return a column that compares with the speed of a large square product.

    Args:
        square_flops: operations a second of that product; None leaves the column empty.
    """

    def cell(one: Measurement, ways: Ways) -> str:
        if square_flops is None or PRODUCT not in ways:
            return ""
        return _percent(one.task.operations / one.seconds / square_flops)

    meaning = (
        "Of a square: the operations of that product per second of this time, as a share of the "
        "speed of a large square product."
    )
    return Column("of a square", cell, meaning)


def _faster(one: Measurement, ways: Ways) -> str:
    ours = ways.get(OURS)
    return "" if ours is None or one is ours else f"{one.seconds / ours.seconds:.2f}x"


def _of_product(one: Measurement, ways: Ways) -> str:
    return _percent(ways[PRODUCT].seconds / one.seconds) if PRODUCT in ways else ""


def _tokens(one: Measurement, _: Ways) -> str:
    return f"{one.task.sizes['N'] / one.seconds:,.0f}"


def _percent(part: float | None) -> str:
    if part is None:
        return ""
    return f"{part:.3%}" if 0 < part < 0.01 else f"{part:.0%}"


def _ms(seconds: float) -> str:
    ms = 1e3 * seconds
    return f"{ms:,.1f}" if ms >= 100 else f"{ms:.3f}"


MS = Column("ms", lambda one, _: _ms(one.seconds), "ms: the median.")
SPREAD = Column(
    "20 % to 80 %",
    lambda one, _: f"{_ms(one.p20)} to {_ms(one.p80)}",
    "20 % to 80 %: percentiles, in ms.",
)
FASTER = Column(f"{OURS} is", _faster, f'"{OURS} is 2.00x": twice as fast as the way of the row.')
RATE = Column(
    "GFLOP/s",
    lambda one, _: f"{one.task.operations / one.seconds / 1e9:,.0f}",
    "GFLOP/s: the operations of the whole product, computed once, per second.",
)
TOKENS = Column("tokens/s", _tokens, "")
MEMORY = Column(
    "peak memory",
    lambda one, _: format_bytes(one.peak_bytes),
    "Peak memory: of one call, beyond its inputs and results.",
)
MEMORY_WITH_RESULTS = MEMORY._replace(
    meaning="Peak memory: of one call, beyond its inputs; its results count."
)
OF_PRODUCT = Column(
    "of the product",
    _of_product,
    "Of the product: the time of the bare product of the encoder, as a share of this time.",
)
REDONE = Column(
    "redone",
    lambda one, _: _percent(one.redone),
    "Redone: the share of rows that were not proved and were scored again.",
)
NOTES = Column("notes", lambda one, _: "; ".join(one.notes), "")
