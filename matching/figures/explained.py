"""Scores and explanations of matched latents."""

import numpy as np
from matplotlib.figure import Figure

from .drawing import Drawing, Table
from .histograms import bin_edges
from .joint import cosine_limits
from .score_files import EXPLANATION
from .style import (
    BLUE,
    MOST_VECTORS,
    MUTED,
    ORDERED,
    SERIES,
    SQUARE,
    WIDE,
    house_style,
    mark_line,
)

EXPLANATION_BINS = 99
LOWEST_SCORE = 0.5  # of an axis; lower if there are such scores
DASHES = ("solid", "dashed", "dotted", "dashdot")


@house_style()
def score_pairs(table: Table) -> Drawing:
    """Draw the score of each latent's explanation against that of its match.

    Args:
        table: one row a pair of matched latents: ``score_a`` and ``score_b``, from 0 to 1, and
            ``decoder_cosine``, which is the colour. Other columns are kept.
    """
    figure = Figure(figsize=(6.2, 5.2), layout="constrained")
    axes = figure.subplots()
    size = table["score_a"].size
    points = axes.scatter(
        table["score_a"],
        table["score_b"],
        c=table["decoder_cosine"],
        cmap=ORDERED,
        vmin=0,
        vmax=1,
        s=float(np.interp(size, (500, 20_000), (16, 5))),
        linewidths=0,
        rasterized=size > MOST_VECTORS,
    )
    points.set_gid("points: scores")
    low = min([LOWEST_SCORE, *table["score_a"].tolist(), *table["score_b"].tolist()])
    axes.axline((1, 1), slope=1, color=MUTED, linewidth=0.9, linestyle="dashed")
    axes.set(
        xlim=(low - 0.01, 1.01),
        ylim=(low - 0.01, 1.01),
        xlabel="Score of the latent of A",
        ylabel="Score of its match in B (by decoders)",
        title=f"{size:,} matched pairs with both scores",
    )
    figure.colorbar(points, ax=axes, label="Decoder alignment (cosine)")
    return Drawing(figure, table)


@house_style()
def explanations(table: Table) -> Drawing:
    """Draw how alike explanations are, for each way of saying with which others.

    Args:
        table: one row a latent, and columns whose names begin with ``explanation_cosine``: the
            cosine of its explanation with another's; NaN where there is none.

    Returns:
        The drawing. Its table has one row a bin: ``from``, ``to``, and for each column the latents
        in it. Panel ``means``: the mean of each column.

    Raises:
        ValueError: there is no such column, or no number in it.
    """
    names = [name for name in table if name.startswith(EXPLANATION)]
    values = {name: table[name][np.isfinite(table[name])] for name in names}
    if not any(own.size for own in values.values()):
        raise ValueError(f"scores: expected numbers in a column {EXPLANATION}, got none")
    edges = bin_edges(EXPLANATION_BINS, *values.values())
    figure = Figure(figsize=WIDE, layout="constrained")
    axes = figure.subplots()
    counts = {name: np.histogram(own, edges)[0] for name, own in values.items()}
    means = {name: float(own.mean()) if own.size else np.nan for name, own in values.items()}
    for place, (name, own) in enumerate(counts.items()):
        colour, dash = SERIES[place % len(SERIES)], DASHES[place % len(DASHES)]
        words = name.removeprefix(EXPLANATION).replace("_", " ").strip() or "matched"
        axes.stairs(own, edges, fill=True, color=colour, alpha=0.18)
        outline = axes.stairs(
            own, edges, color=colour, linestyle=dash, linewidth=1.5,
            label=f"{words}: {own.sum():,}, mean {means[name]:.3f}",
        )  # fmt: skip
        outline.set_gid(f"steps: {name}")
    axes.set(
        xlim=(edges[0], 1),
        ylim=(0, None),
        xlabel="Cosine of the explanations' embeddings",
        ylabel="Number of latents",
    )
    axes.legend(loc="best")
    return Drawing(
        figure,
        {"from": edges[:-1], "to": edges[1:], **counts},
        {"means": {"column": np.array(names), "mean": np.array(list(means.values()))}},
    )


@house_style()
def explained_cosine(table: Table, *, threshold: float) -> Drawing:
    """Draw how alike the explanations of matched latents are, by how alike the latents are.

    Args:
        table: one row a matched latent: ``decoder_cosine`` and ``explanation_cosine``. Other
            columns are kept.
        threshold: the cosine above which a latent is shared; drawn as a line.
    """
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    size = table["decoder_cosine"].size
    (line,) = axes.plot(
        table["decoder_cosine"],
        table[EXPLANATION],
        linestyle="none",
        marker="o",
        markersize=float(np.interp(size, (500, 20_000), (3.5, 1.5))),
        markeredgewidth=0,
        color=BLUE,
        alpha=float(np.interp(size, (500, 20_000), (0.7, 0.3))),
        rasterized=size > MOST_VECTORS,
    )
    line.set_gid("points: explanations")
    mark_line(axes, threshold, f"{threshold:g}")
    axes.set(
        xlim=cosine_limits(table["decoder_cosine"]),
        ylim=cosine_limits(table[EXPLANATION]),
        xlabel="Decoder alignment (cosine)",
        ylabel="Cosine of the explanations' embeddings",
        title=f"{size:,} matched latents",
    )
    return Drawing(figure, table)
