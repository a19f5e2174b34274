"""Distributions of cosines, decoder and encoder."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .drawing import Drawing, Table
from .style import (
    BLUE,
    DASHED,
    DOTTED,
    INK,
    MUTED,
    ORANGE,
    SQUARE,
    VERMILION,
    WIDE,
    house_style,
    mark_line,
)

Array = NDArray[np.float64]

COSINE_BINS = 19  # the paper's, between 0 and 1
LEAST_FALL = 1e-4  # of a logarithmic axis; less has a bar of its own
FALL_BINS = 8  # from one power of ten to the next


@house_style()
def max_cosine(table: Table, *, chance_floor: float) -> Drawing:
    """Draw histograms of each latent's best cosine with any other (arXiv 2501.16615).

    Args:
        table: one row a latent: ``decoder_max``, ``encoder_max`` or both, cosines.
        chance_floor: the cosine that random directions reach; drawn as a line.

    Returns:
        The drawing. Its table has one row a bin: ``from`` and ``to``, its edges, and ``decoder``
        and ``encoder``, the latents in it.
    """
    sides = [side for side in ("decoder", "encoder") if f"{side}_max" in table]
    values = [table[f"{side}_max"] for side in sides]
    edges = bin_edges(COSINE_BINS, *values)
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    drawn: Table = {"from": edges[:-1], "to": edges[1:]}
    styles = {"decoder": (BLUE, "solid"), "encoder": (VERMILION, "dashed")}
    for side, own in zip(sides, values, strict=True):
        drawn[side], _ = np.histogram(own, edges)
        colour, dash = styles[side]
        steps = axes.stairs(
            drawn[side], edges, color=colour, linestyle=dash, linewidth=1.8, label=side.capitalize()
        )
        steps.set_gid(f"steps: {side}")
    axes.axvline(chance_floor, color=MUTED, linewidth=0.9, linestyle=DOTTED, label="Chance")
    axes.set(
        xlim=(edges[0], 1),
        ylim=(0, None),
        xlabel="Max cosine similarity",
        ylabel=f"Number of latents (of {values[0].size:,})",
    )
    axes.grid(axis="y")
    axes.legend(loc="best")
    return Drawing(figure, drawn)


@house_style()
def matched_cosine(table: Table, *, threshold: float) -> Drawing:
    """Draw stacked histograms of the cosines of matches, by whether the two matches are equal.

    Args:
        table: as for `joint.alignment`.
        threshold: the cosine above which a latent is shared; drawn as a line.

    Returns:
        The drawing. Its table has one row for each side and bin: ``side``, ``from`` and ``to``,
        the bin's edges, ``equal`` and ``different``, the latents in it. Latents that one of the
        sides does not match are left out.
    """
    sides = ("decoder", "encoder")
    both = np.isfinite(table["decoder_cosine"]) & np.isfinite(table["encoder_cosine"])
    equal = (table["decoder_match"] == table["encoder_match"])[both]
    values = [table[f"{side}_cosine"][both] for side in sides]
    edges = bin_edges(COSINE_BINS, *values)
    figure = Figure(figsize=WIDE, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    rows = []
    for side, own, axes in zip(sides, values, panels, strict=True):
        counts = [np.histogram(own[mask], edges)[0] for mask in (equal, ~equal)]
        stack(axes, edges, counts, (BLUE, VERMILION), ("Same match", "Different matches"))
        mark_line(axes, threshold, f"{threshold:g}")
        axes.set(xlim=(edges[0], 1), xlabel=f"Cosine of the {side}'s match")
        rows.append([np.repeat(side, len(edges) - 1), edges[:-1], edges[1:], *counts])
    panels[0].set_ylabel(f"Number of latents (of {both.sum():,})")
    panels[0].legend(loc="best")
    columns = ("side", "from", "to", "equal", "different")
    return Drawing(
        figure,
        {
            name: np.concatenate(parts)
            for name, parts in zip(columns, zip(*rows, strict=True), strict=True)
        },
    )


@house_style()
def certainty(table: Table, *, side: str, little: float) -> Drawing:
    """Draw histograms of how much the optimum falls without a pair, on a logarithmic axis.

    Args:
        table: one row a matched pair: ``lower`` and ``upper``, bounds in cosines, and ``exact``,
            whether the two are equal. An upper bound may be infinite: none was found.
        side: "decoder" or "encoder".
        little: the fall up to which a pair is replaceable; drawn as a line.

    Returns:
        The drawing. Its table has one row a bin: ``from`` and ``to``, its edges, the first of which
        is 0; ``exact``, the pairs whose bounds are equal, and ``apart``, the others, by their lower
        bounds; ``upper``, all pairs by their upper bounds.
    """
    exact, lower, upper = table["exact"].astype(bool), table["lower"], table["upper"]
    known = np.isfinite(upper)
    edges = _fall_edges(max(lower.max(initial=0.0), upper[known].max(initial=0.0)))
    held = [np.maximum(values, edges[0]) for values in (lower[exact], lower[~exact], upper)]
    counts = [np.histogram(values, edges)[0] for values in held]
    figure = Figure(figsize=WIDE, layout="constrained")
    axes = figure.subplots()
    total = max(len(exact), 1)
    labels = [
        f"{words}: {number:,} ({100 * number / total:.1f} %)"
        for words, number in (
            ("Known exactly", int(exact.sum())),
            ("Lower bound of the others", int((~exact).sum())),
        )
    ]
    axes.set_xscale("log")
    stack(axes, edges, counts[:2], (BLUE, ORANGE), labels)
    none = f", {(~known).sum():,} have none" if not known.all() else ""
    steps = axes.stairs(
        counts[2], edges, color=INK, linestyle=DASHED, linewidth=1.2,
        label=f"Upper bound of all{none}",
    )  # fmt: skip
    steps.set_gid("steps: upper")
    mark_line(axes, little, f"{little:g}")
    axes.set(
        xlim=(edges[0], edges[-1]),
        ylim=(0, None),
        xlabel=f"Fall of the sum of cosines without the pair ({side}s; first bar: below "
        f"{LEAST_FALL:g})",
        ylabel=f"Number of pairs (of {len(exact):,})",
    )
    axes.grid(axis="y")
    axes.legend(loc="best")
    drawn = {"from": np.append(0.0, edges[1:-1]), "to": edges[1:]}
    return Drawing(figure, drawn | dict(zip(("exact", "apart", "upper"), counts, strict=True)))


def _fall_edges(largest: float) -> Array:
    """Return edges that are equal steps of a logarithm, the first two around all falls below."""
    decades = int(np.ceil(np.log10(max(1.0, largest * (1 + 1e-9)) / LEAST_FALL)))
    edges = np.geomspace(LEAST_FALL, LEAST_FALL * 10.0**decades, FALL_BINS * decades + 1)
    return np.append(edges[0] ** 2 / edges[1], edges)


def bin_edges(bins: int, *values: Array) -> Array:
    """Return the edges of equal bins on [0, 1], with as many more below as hold all values."""
    lowest = min((float(own.min()) for own in values if own.size), default=0.0)
    below = max(0, int(np.ceil(-lowest * bins)))
    # Rounding must not leave a cosine of 1 + 1e-16 outside.
    return np.append(np.arange(-below, bins) / bins, 1 + 1e-6)


def stack(
    axes: Axes,
    edges: Array,
    counts: Sequence[NDArray[np.int64]],
    colours: Sequence[str],
    labels: Sequence[str],
    *,
    upright: bool = True,
) -> None:
    """Draw histograms of common bins on top of one another, the first lowest.

    Args:
        axes: where.
        edges: (bins + 1,).
        counts: for each group (bins,).
        colours: one a group.
        labels: one a group.
        upright: whether bars stand; else they lie.
    """
    base = np.zeros(len(edges) - 1)
    for own, colour, label in zip(counts, colours, labels, strict=True):
        bars = axes.stairs(
            base + own,
            edges,
            baseline=base,
            fill=True,
            color=colour,
            label=label,
            orientation="vertical" if upright else "horizontal",
        )
        bars.set_gid(f"stack: {label}")
        base = base + own
