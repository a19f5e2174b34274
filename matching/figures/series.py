"""The paper's Figs 4 and 5: overlap by what the SAEs are like."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from .drawing import Drawing, Table
from .style import BLUE, SERIES, SQUARE, VERMILION, WIDE, house_style

BAR_GROUP = 0.8  # of the distance between two groups of bars
NEAREST = 0.06  # of a logarithmic axis, between two labels
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")


class Shown(NamedTuple):
    """One series of points."""

    column: str
    label: str
    colour: str
    marker: str
    filled: bool = True


FRACTIONS = (
    Shown("and", "Aligned (and)", BLUE, "o"),
    Shown("equal", "Encoder-decoder equal (equal)", VERMILION, "s"),
)
COSINES = (
    Shown("decoder_cosine", "Decoder, mean of matches", BLUE, "o"),
    Shown("encoder_cosine", "Encoder, mean of matches", VERMILION, "s"),
    Shown("decoder_mmcs", "Decoder, mean of row maxima", BLUE, "x", filled=False),
    Shown("encoder_mmcs", "Encoder, mean of row maxima", VERMILION, "+", filled=False),
)


@house_style()
def by_number(
    table: Table, *, factor: str, axis: str, shown: Sequence[Shown], value: str, note: str = ""
) -> Drawing:
    """Draw the paper's Fig 4: shares or cosines against a number, on a logarithmic axis.

    Args:
        table: one row a value of the factor: a column of its name with positive numbers, and for
            each of ``shown`` the mean over the matches of this value, and with ``_min`` and
            ``_max`` behind the name the extremes, drawn as bars. Other columns are kept.
        factor: the column on the x axis.
        axis: what the x axis says.
        shown: the series.
        value: what the y axis says.
        note: what stands above, such as what the means mix.
    """
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    numbers = table[factor]
    for series in shown:
        points = axes.errorbar(
            numbers, table[series.column], yerr=_spread(table, series.column), fmt=series.marker,
            color=series.colour, capsize=3, markersize=7,
            markerfacecolor=series.colour if series.filled else "none", label=series.label,
        )  # fmt: skip
        points.lines[0].set_gid(f"points: {series.column}")
    axes.set_xscale("log")
    axes.set_xticks(numbers, _tick_labels(numbers.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(ylim=(0, 1.05), xlabel=axis, ylabel=value, title=note)
    axes.grid(axis="y")
    axes.legend(loc="best")
    return Drawing(figure, table)


@house_style()
def bars(
    table: Table, *, factor: str, axis: str, hue: str | None, measure: str, value: str,
    note: str = "",
) -> Drawing:  # fmt: skip
    """Draw the paper's Fig 5: bars of one measure, in groups.

    Args:
        table: one row a bar: the columns ``factor`` and ``hue``, each combination at most once, and
            ``measure``, the mean over its matches, with ``<measure>_min`` and ``<measure>_max``.
            Groups and colours come in the order of the rows. Other columns are kept.
        factor: the column that places the bar.
        axis: what the x axis says.
        hue: the column that colours it; None: one colour.
        measure: the column that is its height.
        value: what the y axis says.
        note: what stands above.
    """
    figure = Figure(figsize=WIDE, layout="constrained")
    axes = figure.subplots()
    places = list(dict.fromkeys(table[factor].tolist()))
    hues: list[Any] = list(dict.fromkeys(table[hue].tolist())) if hue else [None]
    width = BAR_GROUP / len(hues)
    for number, wanted in enumerate(hues):
        own = table[hue] == wanted if hue else np.ones(len(table[factor]), dtype=bool)
        offset = (number - (len(hues) - 1) / 2) * width
        at = [places.index(place) + offset for place in table[factor][own].tolist()]
        _draw_bars(axes, at, width, {n: column[own] for n, column in table.items()},
                   measure, number, wanted)  # fmt: skip
    axes.set_xticks(range(len(places)), [_said(place) for place in places])
    top = float(np.nanmax(table[f"{measure}_max"], initial=0))
    axes.set(ylim=(0, min(1.05, 1.15 * top) or 1.05), xlabel=axis, ylabel=value, title=note)
    axes.grid(axis="y")
    if len(hues) > 1:
        axes.legend(loc="best", title=hue)
    return Drawing(figure, table)


def _draw_bars(
    axes: Axes, at: list[float], width: float, own: Table, measure: str, number: int, hue: Any
) -> None:
    heights = own[measure]
    container = axes.bar(
        at, heights, width, yerr=_spread(own, measure), capsize=2,
        color=SERIES[number % len(SERIES)], edgecolor="white", linewidth=0.5,
        hatch=HATCHES[number % len(HATCHES)], label=_said(hue), error_kw={"linewidth": 1},
    )  # fmt: skip
    for place, bar in enumerate(container):
        bar.set_gid(f"bar: {measure} {number} {place}")


def _spread(table: Table, name: str) -> NDArray[np.float64] | None:
    """Return how far the extremes lie below and above the mean, (2, rows); None if nowhere."""
    mean = table[name]
    spread = np.abs(np.stack((mean - table[f"{name}_min"], table[f"{name}_max"] - mean)))
    return spread if np.nansum(spread) > 0 else None


def _tick_labels(numbers: Sequence[float]) -> list[str]:
    """Return what stands at each of rising numbers; nothing where the one before is too near."""
    near = (numbers[-1] / numbers[0]) ** NEAREST
    labels: list[str] = []
    last = 0.0
    for number in numbers:
        far = number > last * near
        labels.append(_said(number) if far else "")
        last = number if far else last
    return labels


def _said(value: Any) -> str:
    """Return a factor's value as a tick or a legend says it: 32,768, 8B for 8e9, or text."""
    if not isinstance(value, int | float):
        return str(value)
    for size, letter in ((1e9, "B"), (1e6, "M")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
