"""The paper's Fig 1, and its like: two numbers of each latent, with densities at the margins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .density import density, levels
from .drawing import Drawing, Table
from .points import Group, Place, draw_points, points_legend
from .style import BLUE, DOTTED, JOINT, MUTED, VERMILION, house_style, mark_line

Array = NDArray[np.float64]

BINS = 200  # of the densities, a side
TIE = 1e-6  # cosines nearer than this are the same: the files round them to float32


@dataclass(frozen=True)
class _Axis:
    """What one axis shows, and how files call it."""

    column: str
    label: str


@house_style()
def alignment(table: Table, *, threshold: float, chance_floor: float) -> Drawing:
    """Draw the paper's Fig 1: the cosine of each latent's two matches (arXiv 2501.16615).

    Args:
        table: one row a latent: ``decoder_cosine`` and ``encoder_cosine`` with the decoder's and
            the encoder's match, NaN where there is none; ``decoder_match`` and ``encoder_match``,
            the numbers of these latents. Other columns are kept.
        threshold: the cosine above which a latent is shared; drawn as lines.
        chance_floor: the cosine that random directions reach; drawn as dotted lines.

    Returns:
        The drawing. Its table has the latents that both matchings match, and says in ``equal``
        whether the two matches are the same latent. Panels: the densities at the margins.
    """
    both = np.isfinite(table["decoder_cosine"]) & np.isfinite(table["encoder_cosine"])
    drawn = {name: column[both] for name, column in table.items()}
    drawn["equal"] = drawn["decoder_match"] == drawn["encoder_match"]
    axes = (
        _Axis("decoder_cosine", "Decoder alignment (cosine with the decoder's match)"),
        _Axis("encoder_cosine", "Encoder alignment (cosine with the encoder's match)"),
    )
    groups = _split(drawn, axes, drawn["equal"], ("Same match", "Different matches"))
    figure, main, panels = _joint(groups, axes)
    mark_line(main, threshold, f"{threshold:g}")
    mark_line(main, threshold, "", across=True)
    for line in (main.axvline, main.axhline):
        line(chance_floor, color=MUTED, linewidth=0.8, linestyle=DOTTED)
    return Drawing(figure, drawn, panels)


@house_style()
def max_vs_matched(table: Table, *, side: str, threshold: float) -> Drawing:
    """Draw the cosine of each latent's match against its best cosine with any latent.

    No point can lie below the diagonal. On it are the latents whose match is also the nearest.

    Args:
        table: one row a latent: ``<side>_cosine`` with the match, NaN where there is none, and
            ``<side>_max``, the best with any latent. Other columns are kept.
        side: "decoder" or "encoder".
        threshold: the cosine above which a latent is shared; drawn as a line.

    Returns:
        The drawing. Its table has the matched latents, and says in ``nearest`` whether the match is
        the nearest latent (within 1e-6, as files round cosines). Panels: the densities.
    """
    matched = np.isfinite(table[f"{side}_cosine"])
    drawn = {name: column[matched] for name, column in table.items()}
    drawn["nearest"] = drawn[f"{side}_max"] <= drawn[f"{side}_cosine"] + TIE
    axes = (
        _Axis(f"{side}_cosine", f"Matched cosine similarity ({side}s)"),
        _Axis(f"{side}_max", f"Max cosine similarity ({side}s)"),
    )
    groups = _split(drawn, axes, drawn["nearest"], ("The match is nearest", "Another is nearer"))
    figure, main, panels = _joint(groups, axes)
    main.axline((0, 0), slope=1, color=MUTED, linewidth=0.8, linestyle=DOTTED)
    mark_line(main, threshold, f"{threshold:g}")
    mark_line(main, threshold, "", across=True)
    return Drawing(figure, drawn, panels)


@house_style()
def by_activations(table: Table, *, side: str, measure: str, threshold: float) -> Drawing:
    """Draw the similarity of latents' activations against the cosine of their weights.

    Each of the two numbers is of the latent's match by that measure; where both matches are the
    same latent, they are of one pair.

    Args:
        table: one row a latent: ``<side>_cosine`` with the match by weights, NaN where there is
            none, and ``<side>_match``, its number; ``activation_cosine`` with the match by
            activations, NaN where there is none or the two are never active together, and
            ``activation_match``. Other columns are kept.
        side: "decoder" or "encoder".
        measure: what the similarity of activations is, "cosine" or "pearson".
        threshold: the cosine above which a latent is shared; drawn as a line.

    Returns:
        The drawing. Its table has the latents that both matchings match, and says in ``equal``
        whether the two matches are the same latent. Panels: the densities at the margins.
    """
    both = np.isfinite(table[f"{side}_cosine"]) & np.isfinite(table["activation_cosine"])
    drawn = {name: column[both] for name, column in table.items()}
    drawn["equal"] = drawn[f"{side}_match"] == drawn["activation_match"]
    axes = (
        _Axis(f"{side}_cosine", f"Cosine with the {side}'s match"),
        _Axis("activation_cosine", f"Activations: {measure} with their match"),
    )
    groups = _split(drawn, axes, drawn["equal"], ("Same match", "Different matches"))
    figure, main, panels = _joint(groups, axes, legend="lower right")
    mark_line(main, threshold, f"{threshold:g}")
    return Drawing(figure, drawn, panels)


def cosine_limits(*values: Array) -> tuple[float, float]:
    """Return the range of a cosine axis: 0 to 1, widened downwards where cosines are negative."""
    lowest = min((float(array.min()) for array in values if array.size), default=0.0)
    return min(0.0, float(np.floor(lowest * 10) / 10)) - 0.02, 1.02


def _split(
    drawn: Table, axes: Sequence[_Axis], first: NDArray[np.bool_], labels: tuple[str, str]
) -> list[Group]:
    """Return two groups; the first comes last, and so lies above."""
    x, y = (drawn[axis.column] for axis in axes)
    return [
        Group(labels[1], x[~first], y[~first], VERMILION),
        Group(labels[0], x[first], y[first], BLUE),
    ]


def _joint(
    groups: Sequence[Group], axes: tuple[_Axis, _Axis], legend: Place = "upper left"
) -> tuple[Figure, Axes, dict[str, Table]]:
    """Draw points with contours of their density, and densities above and on the right."""
    figure = Figure(figsize=JOINT, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(6, 1), height_ratios=(1, 6))
    main = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=main)
    right = figure.add_subplot(grid[1, 1], sharey=main)
    limits = cosine_limits(*(values for group in groups for values in (group.x, group.y)))
    edges = np.linspace(*limits, BINS + 1)
    total = sum(group.x.size for group in groups)
    for group in groups:
        draw_points(main, group, total)
    for group in groups:
        _draw_contours(main, group, edges)
    panels = {}
    for axis, panel, upright in ((axes[0], top, True), (axes[1], right, False)):
        table = _margins(groups, edges, upright=upright)
        _draw_margins(panel, groups, table, upright=upright)
        panels[f"{axis.column.replace('_', '-')}-density"] = table
    main.set(xlim=limits, ylim=limits, xlabel=axes[0].label, ylabel=axes[1].label)
    points_legend(main, total, legend)
    return figure, main, panels


def _draw_contours(axes: Axes, group: Group, edges: Array) -> None:
    heights = density(np.column_stack((group.x, group.y)), [edges, edges])
    if heights is not None and heights.any():
        middles = (edges[1:] + edges[:-1]) / 2
        # Contours take rows for y.
        axes.contour(
            middles, middles, heights.T, levels(heights), colors=group.colour, linewidths=0.8
        )


def _margins(groups: Sequence[Group], edges: Array, *, upright: bool) -> Table:
    """Return each group's density in one direction, times its share of all latents."""
    total = max(sum(group.x.size for group in groups), 1)
    middles = (edges[1:] + edges[:-1]) / 2
    names, heights = [], []
    for group in groups:
        values = group.x if upright else group.y
        found = density(values[:, None], [edges])
        if found is not None:
            names.append(group.label)
            heights.append(found * values.size / total)
    return {
        "group": np.repeat(np.array(names, dtype=str), middles.size),
        "cosine": np.tile(middles, len(names)),
        "density": np.concatenate([*heights, np.empty(0)]),
    }


def _draw_margins(axes: Axes, groups: Sequence[Group], table: Table, *, upright: bool) -> None:
    fill = axes.fill_between if upright else axes.fill_betweenx
    for group in groups:
        own = table["group"] == group.label
        at, heights = table["cosine"][own], table["density"][own]
        fill(at, heights, color=group.colour, alpha=0.3, linewidth=0)
        axes.plot(*((at, heights) if upright else (heights, at)), color=group.colour, linewidth=1.2)
    axes.set_axis_off()
    (axes.set_ylim if upright else axes.set_xlim)(0)
