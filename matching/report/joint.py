"""The paper's Fig 1: decoder against encoder cosine of matched latents (arXiv 2501.16615)."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from . import svg
from .data import MatchedSide

Array = NDArray[np.float64]

RASTERISE_ABOVE = (
    2_000  # points; each costs 100 bytes of SVG, and pixels cost the same for any number
)
KDE_SAMPLE = 2_000  # points; more only smooths what the eye cannot see, in quadratic time
KDE_MINIMUM = 10  # points below which a density would be invention
CONTOUR_GRID = 72  # points a side
CONTOUR_MARGIN = 0.25  # of the range of a group's points, on every side: there its density fades
MASS = (0.95, 0.8, 0.6, 0.4, 0.2)  # shares of the points that the contours enclose


@dataclass(frozen=True)
class Group:
    """The latents drawn in one colour: (n,) decoder and encoder cosines."""

    label: str
    decoder: Array
    encoder: Array
    colour: str
    contour: str


def joint_groups(decoder: MatchedSide, encoder: MatchedSide) -> list[Group]:
    """Split the latents that are matched on both sides by whether the two matches agree."""
    matched = (decoder.partner >= 0) & (encoder.partner >= 0)
    equal = matched & (decoder.partner == encoder.partner)
    return [
        Group(label, decoder.cosine[mask], encoder.cosine[mask], colour, contour)
        for label, mask, colour, contour in (
            ("Different", matched & ~equal, svg.ORANGE, svg.DIFFERENT_INK),
            ("Equal", equal, svg.BLUE, svg.EQUAL_INK),
        )
    ]


def joint_figure(groups: list[Group], threshold: float, chance_floor: float) -> Figure:
    """Draw the groups as points and density contours, with marginal densities above and right."""
    figure = Figure(figsize=(4.8, 4.8))
    grid = figure.add_gridspec(
        2,
        2,
        width_ratios=(6, 1),
        height_ratios=(1, 6),
        wspace=0.03,
        hspace=0.03,
        left=0.12,
        right=0.985,
        bottom=0.1,
        top=0.985,
    )
    main = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=main)
    right = figure.add_subplot(grid[1, 1], sharey=main)
    limits = axis_limits(*(values for group in groups for values in (group.decoder, group.encoder)))
    total = sum(group.decoder.size for group in groups)
    for group in groups:
        _draw_points(main, group, total)
    for group in groups:
        _draw_contours(main, group)
        _draw_marginal(top, group.decoder, group.colour, total, limits, upright=True)
        _draw_marginal(right, group.encoder, group.colour, total, limits, upright=False)
    for axes in (top, right):
        axes.set_axis_off()
    top.set_ylim(bottom=0)
    right.set_xlim(left=0)
    main.set(xlim=limits, ylim=limits)
    main.set(xlabel="Decoder cosine with the match", ylabel="Encoder cosine with the match")
    _mark_lines(main, threshold, chance_floor, limits)
    legend = main.legend(
        loc="upper left", handletextpad=0.2, borderpad=0.2, markerscale=6 / _point_size(total)
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    return figure


def axis_limits(*values: Array) -> tuple[float, float]:
    """Return the range of a cosine axis: 0 to 1, widened downwards where cosines are negative."""
    lowest = min((array.min() for array in values if array.size), default=0.0)
    return min(0.0, float(np.floor(lowest * 10) / 10)) - 0.02, 1.02


def note(axes: Axes, at: float, text: str, *, at_top: bool = True) -> None:
    """Write beside a vertical line at ``at``, inside the axes, at their top or bottom."""
    axes.annotate(
        text,
        (at, 1.0 if at_top else 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, -9 if at_top else 4),
        textcoords="offset points",
        color=svg.MUTED,
        fontsize=8.5,
    )


def sample(values: Array) -> Array:
    """Return at most ``KDE_SAMPLE`` of the rows of ``values``, always the same ones."""
    if len(values) <= KDE_SAMPLE:
        return values
    return values[np.random.default_rng(0).choice(len(values), KDE_SAMPLE, replace=False)]


def density(values: Array, at: Array) -> Array | None:
    """Return the density of points at other points, or None where they have none to speak of.

    Args:
        values: (n, d) points, d = 1 or 2.
        at: (m, d) where to evaluate.

    Returns:
        (m,) densities; None for few points, and for points on one spot or one line.
    """
    if len(values) < KDE_MINIMUM:
        return None
    values = sample(values)
    covariance = np.atleast_2d(np.cov(values.T))
    if np.linalg.eigvalsh(covariance)[0] < 1e-8:
        return None
    return np.asarray(gaussian_kde(values.T)(at.T))


def contour_levels(heights: Array) -> list[float]:
    """Return the ascending heights of the contours that enclose the shares ``MASS`` of all mass."""
    falling = np.sort(heights.ravel())[::-1]
    enclosed = np.cumsum(falling) / falling.sum()
    levels = {float(falling[np.searchsorted(enclosed, mass)]) for mass in MASS}
    return sorted(levels)


def _draw_points(axes: Axes, group: Group, total: int) -> None:
    count = group.decoder.size
    share = f" ({100 * count / total:.0f} %)" if total else ""
    axes.plot(
        group.decoder,
        group.encoder,
        linestyle="none",
        marker="o",
        markersize=_point_size(total),
        markeredgewidth=0,
        color=group.colour,
        alpha=np.interp(total, (500, 20_000, 130_000), (0.6, 0.35, 0.12)),
        rasterized=total > RASTERISE_ABOVE,
        label=f"{group.label}: {count:,}{share}",
    )


def _point_size(total: int) -> float:
    return float(np.interp(total, (500, 20_000), (3.2, 1.4)))


def _draw_contours(axes: Axes, group: Group) -> None:
    points = np.column_stack((group.decoder, group.encoder))
    if not len(points):
        return
    low, high = points.min(0), points.max(0)
    margin = CONTOUR_MARGIN * (high - low)
    x, y = np.meshgrid(*np.linspace(low - margin, high + margin, CONTOUR_GRID).T)
    heights = density(points, np.column_stack((x.ravel(), y.ravel())))
    if heights is not None:
        levels = contour_levels(heights)
        axes.contour(
            x, y, heights.reshape(x.shape), levels, colors=group.contour, linewidths=0.9, alpha=0.9
        )


def _draw_marginal(
    axes: Axes,
    values: Array,
    colour: str,
    total: int,
    limits: tuple[float, float],
    *,
    upright: bool,
) -> None:
    ticks = np.linspace(*limits, 200)
    heights = density(values[:, None], ticks[:, None])
    if heights is None:
        return
    heights = heights * values.size / total
    fill = axes.fill_between if upright else axes.fill_betweenx
    fill(ticks, heights, color=colour, alpha=0.35, linewidth=0)
    axes.plot(*((ticks, heights) if upright else (heights, ticks)), color=colour, linewidth=1.2)


def _mark_lines(
    axes: Axes, threshold: float, chance_floor: float, limits: tuple[float, float]
) -> None:
    for draw in (axes.axvline, axes.axhline):
        draw(threshold, color=svg.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        if limits[0] < chance_floor < limits[1]:
            draw(chance_floor, color=svg.MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    note(axes, threshold, f"{threshold:g}", at_top=False)
    if limits[0] < chance_floor < limits[1]:
        note(axes, chance_floor, "chance", at_top=False)
