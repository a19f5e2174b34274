"""One picture of what was timed: milliseconds against latents."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ...common.files import atomic_write
from ...matching.report.svg import house_style
from .results import Results, Timing

WIDTH, HEIGHT = 5.2, 3.4  # inches of one panel


def save_plot(results: Results, file: Path) -> None:
    """Draw a panel for each op and width, at the first N and k timed; nothing if none was.

    Lines are medians, bands the 20th to the 80th percentile.
    """
    if not results.timings:
        return
    first = results.timings[0]
    shown = [t for t in results.timings if (t.N, t.k) == (first.N, first.k)]
    ops, widths = list(dict.fromkeys(t.op for t in shown)), sorted({t.D for t in shown})
    with house_style():
        size = WIDTH * len(widths), HEIGHT * len(ops)
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        panels = figure.subplots(len(ops), len(widths), squeeze=False)
        for row, op in zip(panels, ops, strict=True):
            for axes, width in zip(row, widths, strict=True):
                _draw(axes, [t for t in shown if (t.op, t.D) == (op, width)])
                axes.set_title(f"{op}, D = {width:,}")
        header = results.header
        figure.suptitle(
            f"{header['device']}, {header['dtype']}, N = {first.N:,}, k = {first.k}, "
            f"{header['date'][:10]}"
        )
        with atomic_write(file) as temporary:
            figure.savefig(temporary, format=file.suffix[1:])


def _draw(axes: Axes, timings: list[Timing]) -> None:
    for variant in dict.fromkeys(t.variant for t in timings):
        own = sorted((t for t in timings if t.variant == variant), key=lambda t: t.L)
        latents = [t.L for t in own]
        (line,) = axes.plot(latents, [t.ms for t in own], marker="o", markersize=3, label=variant)
        low, high = [t.p20 for t in own], [t.p80 for t in own]
        axes.fill_between(latents, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="Latents", ylabel="ms")
    sizes = sorted({t.L for t in timings})
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid()
    if timings:
        axes.legend()
