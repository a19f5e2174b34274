"""The paper's Fig 3 and its like: latents by the number of SAEs that have them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from .drawing import Drawing, Table
from .histograms import bin_edges, stack
from .style import LARGE, MOST_VECTORS, SQUARE, house_style, ordered_colours

Array = NDArray[np.float64]

SIMILARITY_BINS = 99
COUNT_BINS = 49
SCORE_BINS = 99
NEVER = 0.5
"""Where a logarithmic axis shows a count of 0."""
LOWEST_SCORE = 0.25  # of an axis; lower if there are such scores


@dataclass(frozen=True, eq=False)
class _Values:
    """The upright axis: what it says, its bins, and whether it is logarithmic."""

    column: str
    label: str
    edges: Array
    log: bool


@house_style()
def frequency(table: Table, *, num_saes: int, criterion: str, tokens: int | None) -> Drawing:
    """Draw the paper's Fig 3: how often a latent fires, by how alike it is elsewhere.

    Args:
        table: one row a latent: ``in_saes``, in how many SAEs it is, 1 to S; ``similarity``, the
            mean of the cosines of decoder and encoder with their matches; ``count``, on how many
            tokens it fires. Other columns are kept.
        num_saes: S.
        criterion: what counts as being in an SAE, in words.
        tokens: of how many tokens the counts are, for the axis; None: not known.

    Returns:
        The drawing. Its table has the latents that have a similarity. Panels: the histograms, one
        row a bin and one column a group. Latents that never fire lie on a line of their own, below
        1. Source: section 5 of https://arxiv.org/abs/2501.16615, which takes the similarity from
        one pair of SAEs for each group.
    """
    highest = max(float(table["count"].max(initial=1)), 10.0)
    bins = np.geomspace(1, highest * 1.001, COUNT_BINS + 1)
    of = f" on {tokens:,} tokens" if tokens else ""
    # The first bin holds those that never fire. There is no count in the second one, below 1.
    edges = np.array([0.4, 0.8, *bins])
    values = _Values("count", f"Number of occurrences{of}", edges, log=True)
    return _grouped(table, num_saes, criterion, values)


@house_style()
def scores(table: Table, *, num_saes: int, criterion: str) -> Drawing:
    """Draw Fig 3's layout with the score of each latent's explanation in place of its count.

    Args:
        table: as for `frequency`, with ``score``, from 0 to 1, in place of ``count``.
        num_saes: S.
        criterion: as for `frequency`.
    """
    values = _Values("score", "Score of the explanation", _score_edges(table), log=False)
    return _grouped(table, num_saes, criterion, values)


@house_style()
def score_histogram(table: Table, *, num_saes: int, criterion: str) -> Drawing:
    """Draw a stacked histogram of scores, by the number of SAEs that have the latent.

    Args:
        table: one row a latent: ``in_saes``, 1 to S, and ``score``.
        num_saes: S.
        criterion: as for `frequency`.

    Returns:
        The drawing. Its table has one row a bin: ``from``, ``to``, and ``in_1``, ``in_2``, ...: the
        latents in it that so many SAEs have.
    """
    edges = _score_edges(table)
    counts = _by_group(table["score"], table["in_saes"], edges, num_saes)
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    stack(axes, edges, counts, ordered_colours(num_saes), _labels(num_saes))
    axes.set(
        xlim=(edges[0], 1),
        ylim=(0, None),
        xlabel="Score of the explanation",
        ylabel=f"Number of latents (of {len(table['score']):,} that have a score)",
    )
    axes.legend(loc="best", title=_legend_title(criterion))
    return Drawing(figure, _histogram_table(edges, counts))


def _grouped(table: Table, num_saes: int, criterion: str, values: _Values) -> Drawing:
    known = np.isfinite(table["similarity"])
    drawn = {name: column[known] for name, column in table.items()}
    left_out = int((~known).sum())
    figure = Figure(figsize=LARGE, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 1), height_ratios=(1, 3))
    main = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=main)
    right = figure.add_subplot(grid[1, 1], sharey=main)
    similarity, groups = drawn["similarity"], drawn["in_saes"]
    height = np.maximum(drawn[values.column], NEVER) if values.log else drawn[values.column]
    colours, labels = ordered_colours(num_saes), _labels(num_saes)
    for group, colour, label in zip(range(1, num_saes + 1), colours, labels, strict=True):
        own = groups == group
        _draw_group(main, similarity[own], height[own], colour, label, groups.size)
    edges = bin_edges(SIMILARITY_BINS, similarity)
    across = _by_group(similarity, groups, edges, num_saes)
    along = _by_group(height, groups, values.edges, num_saes)
    stack(top, edges, across, colours, labels)
    stack(right, values.edges, along, colours, labels, upright=False)
    if values.log:
        _scale_counts(main, values.edges)
    else:
        main.set_ylim(values.edges[0], 1.01)
    main.set(xlim=(edges[0], 1.01), xlabel="Similarity to the matches in other SAEs (cosine)")
    main.set_ylabel(values.label)
    top.set(ylabel="Number of latents")
    right.set(xlabel="Number of latents")
    right.xaxis.set_major_locator(MaxNLocator(3))
    if left_out:
        top.set_title(f"{left_out:,} latents without any match are left out", loc="left")
    for axes in (top, right):
        axes.label_outer()
    _legend(figure, main, num_saes, criterion)
    panels = {
        "similarity-histogram": _histogram_table(edges, across),
        f"{values.column}-histogram": _histogram_table(values.edges, along),
    }
    return Drawing(figure, drawn, panels)


def _draw_group(
    axes: Axes, similarity: Array, height: Array, colour: str, label: str, total: int
) -> None:
    (line,) = axes.plot(
        similarity,
        height,
        linestyle="none",
        marker="o",
        markersize=float(np.interp(total, (500, 20_000), (4, 2))),
        markeredgewidth=0,
        color=colour,
        alpha=float(np.interp(total, (500, 20_000, 130_000), (0.7, 0.35, 0.12))),
        rasterized=total > MOST_VECTORS,
        label=f"{label}: {similarity.size:,}",
    )
    line.set_gid(f"points: {label}")


def _scale_counts(axes: Axes, edges: Array) -> None:
    """Make the upright axis logarithmic, with a place for 0."""
    axes.set_yscale("log")
    axes.set_ylim(edges[0], edges[-1] * 1.2)
    powers = 10 ** np.arange(0, int(np.log10(edges[-1])) + 1)
    axes.yaxis.set_major_locator(FixedLocator([NEVER, *powers.tolist()]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels(["never", *(f"{power:,}" for power in powers)])


def _legend(figure: Figure, main: Axes, num_saes: int, criterion: str) -> None:
    handles, labels = main.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="upper right", markerscale=3, handletextpad=0.2,
        ncols=1 + num_saes // 14, title=_legend_title(criterion),
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _legend_title(criterion: str) -> str:
    return f"Latents, shared by {criterion}"


def _labels(num_saes: int) -> list[str]:
    between = [f"In {number} SAEs" for number in range(2, num_saes)]
    return ["Only in one SAE", *between, f"In all {num_saes} SAEs"]


def _by_group(
    values: Array, groups: NDArray[np.int64], edges: Array, num_saes: int
) -> list[NDArray[np.int64]]:
    return [np.histogram(values[groups == n], edges)[0] for n in range(1, num_saes + 1)]


def _score_edges(table: Table) -> Array:
    lowest = min(LOWEST_SCORE, float(table["score"].min(initial=1.0)))
    # Rounding must not leave a score of 1 + 1e-16 outside.
    return np.append(np.linspace(lowest, 1, SCORE_BINS + 1)[:-1], 1 + 1e-6)


def _histogram_table(edges: Array, counts: Sequence[NDArray[np.int64]]) -> Table:
    groups = {f"in_{number}": own for number, own in enumerate(counts, 1)}
    return {"from": edges[:-1], "to": edges[1:], **groups}
