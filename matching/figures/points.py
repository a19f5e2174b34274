"""Clouds of points: any number of latents, in groups of one colour each."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from .style import MOST_VECTORS

Array = NDArray[np.float64]
Place = Literal["upper left", "lower right"]


@dataclass(frozen=True, eq=False)
class Group:
    """The latents of one colour: x and y are (n,)."""

    label: str
    x: Array
    y: Array
    colour: str


def draw_points(axes: Axes, group: Group, total: int, *, told: str | None = None) -> Line2D:
    """Draw and return a group's points, smaller and paler the more there are in all groups.

    Args:
        axes: where.
        group: the points.
        total: how many points all groups have.
        told: what the legend says behind the label; by default how many points there are, and
            their share of all.
    """
    if told is None:
        share = f" ({100 * group.x.size / total:.1f} %)" if total else ""
        told = f"{group.x.size:,}{share}"
    (line,) = axes.plot(
        group.x,
        group.y,
        linestyle="none",
        marker="o",
        markersize=_size(total),
        markeredgewidth=0,
        color=group.colour,
        alpha=float(np.interp(total, (500, 20_000, 130_000), (0.7, 0.35, 0.12))),
        rasterized=total > MOST_VECTORS,
        label=f"{group.label}: {told}",
    )
    line.set_gid(f"points: {group.label}")
    return line


def points_legend(axes: Axes, total: int, place: Place) -> None:
    """Draw a legend at a place, whose points have the same size and colour however many there are.

    Args:
        axes: where.
        total: as for `draw_points`.
        place: in which corner.
    """
    legend = axes.legend(
        loc=place, handletextpad=0.2, markerscale=6 / _size(total),
        frameon=True, edgecolor="none", framealpha=0.85,  # points may lie below
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _size(total: int) -> float:
    return float(np.interp(total, (500, 20_000), (3.5, 1.5)))
