"""The report's line figures and histograms; ``joint.py`` has the paper's Fig 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from . import svg
from .data import MatchFolder
from .joint import axis_limits, note

BINS = 60
MOST_EXPLAINED = 6  # curves in a legend
SPREAD_FOR_LOG = 20  # of largest to smallest value

# criterion: (colour, line width, drawn for the baseline too); the thin ones come first, underneath
SWEEP_LINES = {
    "decoder": (svg.GREY, 1.0, False),
    "encoder": (svg.GREY, 1.0, False),
    "max": (svg.GREEN, 1.8, True),
    "and": (svg.BLUE, 2.2, True),
    "and_equal": (svg.ORANGE, 1.8, True),
}


def sweep_figure(match: MatchFolder, baseline: MatchFolder | None) -> Figure:
    """Draw each criterion's share of A's latents against the threshold, the baseline dashed."""
    figure = Figure(figsize=(4.5, 3.8), layout="constrained")
    axes = figure.subplots()
    sweep = match.summary["overlap"]["sweep"]
    shown = {name: style for name, style in SWEEP_LINES.items() if name in sweep}
    for name, (colour, width, _) in shown.items():
        style = "dotted" if name == "encoder" else "solid"
        axes.plot(
            sweep["threshold"],
            sweep[name],
            color=colour,
            linewidth=width,
            linestyle=style,
            label=name,
        )
    if baseline is not None:
        other = baseline.summary["overlap"]["sweep"]
        wanted = {name for name in shown if shown[name][2]} or set(shown)
        for name in sorted(wanted & other.keys()):
            axes.plot(
                other["threshold"],
                other[name],
                color=shown[name][0],
                linewidth=1.2,
                linestyle=(0, (4, 2)),
            )
        axes.plot([], [], color=svg.MUTED, linewidth=1.2, linestyle=(0, (4, 2)), label="untrained")
    _mark_threshold(axes, match.threshold)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Cosine threshold", ylabel="Share of A's latents")
    axes.grid(axis="y")
    axes.legend(loc="best")
    return figure


def histogram_figure(match: MatchFolder, baseline: MatchFolder | None) -> Figure:
    """Draw the distribution of matched cosines, one panel a side, with the baseline's outline."""
    names = list(match.sides)
    figure = Figure(figsize=(4.5, 3.8), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    values = {name: _finite(match, name) for name in names}
    limits = axis_limits(*values.values())
    bins = np.linspace(*limits, BINS + 1)
    for axes, name, colour in zip(panels, names, (svg.BLUE, svg.GREEN), strict=False):
        peak = _draw_histogram(axes, values[name], bins, colour, filled=True)
        if baseline is not None and name in baseline.sides:
            outline = _finite(baseline, name)
            _draw_histogram(axes, outline, bins, svg.GREY, filled=False)
            axes.set_ylim(0, 2.2 * peak if peak else 1)
            axes.set_title("outline: untrained", loc="right", color=svg.MUTED, fontsize=8.5)
        _mark_threshold(axes, match.threshold)
        floor = match.sides[name].chance_floor
        if limits[0] < floor < limits[1]:
            axes.axvline(floor, color=svg.MUTED, linewidth=1, linestyle=(0, (1, 2)))
            note(axes, floor, "chance")
        axes.set_title(name.capitalize(), loc="left")
        axes.set_ylabel("% of latents")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panels[-1].set(xlim=limits, xlabel="Cosine with the match")
    return figure


def _finite(match: MatchFolder, name: str) -> np.ndarray:
    cosine = match.sides[name].cosine
    return cosine[np.isfinite(cosine)]


def _draw_histogram(
    axes: Axes, values: np.ndarray, bins: np.ndarray, colour: str, *, filled: bool
) -> float:
    counts, _ = np.histogram(values, bins)
    heights = 100 * counts / max(values.size, 1)
    if filled:
        axes.stairs(heights, bins, fill=True, color=colour, alpha=0.75)
    else:
        axes.stairs(heights, bins, color=colour, linewidth=1.2)
    return float(heights.max())


@dataclass(frozen=True)
class Curve:
    """A line of `training_figure`: (n,) values against (n,) tokens."""

    label: str
    tokens: np.ndarray
    values: np.ndarray
    colour: str
    width: float
    style: str = "solid"


def training_figure(
    curves: Sequence[Curve], label: str, *, whole: bool = False, log: bool = False,
    legend: bool = False,
) -> Figure:  # fmt: skip
    """Draw one logged quantity against tokens.

    Args:
        curves: what to draw, the first lowest.
        label: what the vertical axis says.
        whole: whether values are whole numbers.
        log: use a logarithmic axis if the values are far apart.
        legend: explain the lines, if there are few.
    """
    figure = Figure(figsize=(3.5, 2.6), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(
            curve.tokens,
            curve.values,
            color=curve.colour,
            linewidth=curve.width,
            linestyle=curve.style,
            label=curve.label,
            marker="o" if curve.values.size == 1 else "",
            markersize=3,
        )
    values = np.concatenate([curve.values for curve in curves])
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 0.0
    if log and finite.size and 0 < SPREAD_FOR_LOG * float(finite.min()) < top:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, 1.08 * top if top > 0 else 1)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=whole))
    axes.set(xlabel="Tokens", ylabel=label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    if legend and len(curves) <= MOST_EXPLAINED:
        axes.legend(loc="best")
    return figure


def _mark_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, color=svg.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    note(axes, threshold, f"{threshold:g}")
