"""Draws the times of a run: for each job and width a bar for each way."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ...common.files import atomic_write
from ...matching.figures.style import BLUE, MUTED, house_style
from ..measurement import OURS
from .records import Record

WIDTH, BAR, HEAD = 6.0, 0.22, 0.7  # inches: of a panel, of a bar, of what is above and below


def save_plot(steps: Sequence[Record], file: Path) -> None:
    """Draw a panel for each job that was timed; no file if none was."""
    jobs: dict[str, dict[str, Record]] = {}
    for r in steps:
        if r["stage"] in ("times", "inductor") and "ms" in r:
            job, _, way = r["step"].partition(": ")
            jobs.setdefault(job, {})[way] = r
    if not jobs:
        return
    heights = [HEAD + BAR * len(ways) for ways in jobs.values()]
    with house_style():
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained", facecolor="white")
        panels = figure.subplots(len(jobs), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (job, ways) in zip(panels, jobs.items(), strict=True):
            names, ms = list(ways), [r["ms"] for r in ways.values()]
            colours = [BLUE if name.startswith(OURS) else MUTED for name in names]
            bars = axes.barh(names, ms, color=colours)
            axes.bar_label(bars, [f" {value:.3g}" for value in ms])
            axes.invert_yaxis()
            axes.set(title=job, xlabel="ms")
        with atomic_write(file) as temporary:
            figure.savefig(temporary, format=file.suffix[1:])
