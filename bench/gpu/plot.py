"""Draws the times of a run: milliseconds against latents."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ...common.files import atomic_write
from ...matching.report.svg import house_style
from ..measurement import Measurement
from .results import Results

WIDTH, HEIGHT = 5.2, 3.4  # inches of one panel


def save_plot(results: Results, file: Path) -> None:
    """Draw a panel for each job and width, at the first N and k timed; no file if none was.

    Lines are medians, bands the 20th to the 80th percentile.
    """
    if not results.timings:
        return
    first = results.timings[0].task.sizes
    shown = [t for t in results.timings if all(t.task.sizes[n] == first[n] for n in "Nk")]
    jobs = list(dict.fromkeys(t.task.job for t in shown))
    widths = sorted({t.task.sizes["D"] for t in shown})
    with house_style():
        size = WIDTH * len(widths), HEIGHT * len(jobs)
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        panels = figure.subplots(len(jobs), len(widths), squeeze=False)
        for row, job in zip(panels, jobs, strict=True):
            for axes, width in zip(row, widths, strict=True):
                own = [t for t in shown if (t.task.job, t.task.sizes["D"]) == (job, width)]
                _draw(axes, own)
                axes.set_title(f"{job}, D = {width:,}")
        header = results.header
        figure.suptitle(
            f"{header['device']}, {header['dtype']}, N = {first['N']:,}, k = {first['k']}, "
            f"{header['date'][:10]}"
        )
        with atomic_write(file) as temporary:
            figure.savefig(temporary, format=file.suffix[1:])


def _draw(axes: Axes, timings: list[Measurement]) -> None:
    for way in dict.fromkeys(t.way for t in timings):
        own = sorted((t for t in timings if t.way == way), key=_latents)
        latents, ms = [_latents(t) for t in own], [1e3 * t.seconds for t in own]
        (line,) = axes.plot(latents, ms, marker="o", markersize=3, label=way)
        low, high = [1e3 * t.p20 for t in own], [1e3 * t.p80 for t in own]
        axes.fill_between(latents, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="Latents", ylabel="ms")
    sizes = sorted(set(map(_latents, timings)))
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid()
    if timings:
        axes.legend()


def _latents(timing: Measurement) -> int:
    return timing.task.sizes["L"]
