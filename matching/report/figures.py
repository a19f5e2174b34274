"""The report's line figures and histograms; ``joint.py`` has the paper's Fig 1."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from . import svg
from .data import MatchFolder, SeedLog
from .joint import axis_limits, note

BINS = 60

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


def training_figure(
    seeds: Sequence[SeedLog], quantity: str, label: str, highlighted: Sequence[int]
) -> Figure:
    """Draw one logged quantity against tokens, a line a seed; A's and B's seeds stand out.

    Args:
        seeds: the logs to draw.
        quantity: "fvu", "l0" or "dead".
        label: what the vertical axis says.
        highlighted: the seeds of A and of B, in this order.
    """
    figure = Figure(figsize=(3.5, 2.6), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(highlighted, (svg.BLUE, svg.ORANGE), strict=False))
    top = 0.0
    for log in sorted(seeds, key=lambda log: log.seed in colours):
        values = getattr(log, quantity)
        axes.plot(
            log.tokens,
            values,
            color=colours.get(log.seed, svg.GREY),
            linewidth=1.6 if log.seed in colours else 0.9,
            label=f"seed {log.seed}",
            marker="o" if values.size == 1 else "",
            markersize=3,
        )
        finite = values[np.isfinite(values)]
        top = max(top, float(finite.max())) if finite.size else top
    axes.set_ylim(0, 1.08 * top if top else 1)
    axes.set(xlabel="Tokens", ylabel=label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=quantity == "dead"))
    axes.grid(axis="y")
    if len(seeds) <= 6:
        axes.legend(loc="best")
    return figure


def _mark_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, color=svg.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    note(axes, threshold, f"{threshold:g}")
