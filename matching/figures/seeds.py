"""The paper's Fig 2 and its like: what several SAEs of one kind have in common."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .drawing import Drawing, Table
from .style import (
    BLUE,
    DASHED,
    DOTTED,
    INK,
    MARKERS,
    MUTED,
    ORDERED,
    SERIES,
    SQUARE,
    VERMILION,
    house_style,
    ordered_colours,
)

FEWEST_PERCENT = 4.0  # of a ring, below which a number does not fit inside
MOST_TOLD = 6  # bars that have room for a share above
MOST_NUMBERED = 12  # SAEs of a heat map whose cells hold numbers


@house_style()
def unique_by_seeds(table: Table, *, criterion: str, fit: Mapping[str, float] | None) -> Drawing:
    """Draw the paper's Fig 2: the share of latents that only one of n SAEs has (arXiv 2501.16615).

    Args:
        table: one row for each n: ``saes`` (n), ``mean`` and ``std`` of the share over all sets of
            n SAEs and each of them as the one.
        criterion: what counts as shared, in words.
        fit: "a", "b" and "c" of the curve a n^b + c through the means; None: no curve.

    Returns:
        The drawing: points with bars of one standard deviation. Panel ``fit``: the curve's points.
    """
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    number, mean = table["saes"], table["mean"]
    points = axes.errorbar(
        number, mean, yerr=table["std"], fmt="o", color=BLUE, capsize=3, markersize=5,
        label="mean and standard deviation",
    )  # fmt: skip
    points.lines[0].set_gid("points: mean")
    panels: dict[str, Table] = {}
    if fit is not None:
        a, b, c = (fit[name] for name in "abc")
        at = np.linspace(number.min(), number.max(), 100)
        panels["fit"] = {"saes": at, "share": a * at**b + c}
        axes.plot(
            at, panels["fit"]["share"], color=VERMILION, linestyle=DASHED, linewidth=1.3,
            label=f"{a:.3f} n^{b:.3f} {'-' if c < 0 else '+'} {abs(c):.3f}",
        )  # fmt: skip
        axes.axhline(c, color=MUTED, linestyle=DOTTED, linewidth=0.9, label=f"limit {c:.3f}")
    axes.set(
        ylim=(0, 1.1 * float((mean + table["std"]).max())),
        xlabel="Number of SAEs n",
        ylabel=f"Share of one SAE's latents in none of the others\n({criterion})",
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.grid(axis="y")
    axes.legend(loc="best")
    return Drawing(figure, table, panels)


@house_style()
def counts_by_seeds(table: Table, *, criterion: str) -> Drawing:
    """Draw how many latents are in exactly n SAEs, one line for each SAE.

    Args:
        table: one row for each SAE and n: ``sae``, ``saes`` (n), ``latents``.
        criterion: what counts as shared, in words.
    """
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(dict.fromkeys(table["sae"].tolist())):
        own = table["sae"] == name
        (line,) = axes.plot(
            table["saes"][own],
            table["latents"][own],
            color=SERIES[place % len(SERIES)],
            # Line and marker change at different places, so that all SAEs look different.
            linestyle=("solid", "dashed", "dotted")[place // len(SERIES) % 3],
            marker=MARKERS[place % len(MARKERS)],
            markersize=4.5,
            linewidth=1.3,
            label=name,
        )
        line.set_gid(f"line: {name}")
    axes.set(
        ylim=(0, None),
        xlabel="Number of SAEs that have the latent",
        ylabel=f"Number of latents ({criterion})",
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.grid(axis="y")
    axes.legend(loc="best", title="Latents of")
    return Drawing(figure, table)


@house_style()
def donut(table: Table, *, criterion: str) -> Drawing:
    """Draw a ring of the shares of latents that are in exactly n SAEs.

    Args:
        table: as for `counts_by_seeds`.
        criterion: what counts as shared, in words.

    Returns:
        The drawing. Its table has one row for each n: ``saes`` (n), and ``share``, the mean over
        the SAEs.
    """
    names = list(dict.fromkeys(table["sae"].tolist()))
    number = np.unique(table["saes"])
    counts = np.array([table["latents"][table["sae"] == name] for name in names])  # (SAEs, n)
    shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    colours = ordered_colours(len(number))
    wedges, *_ = axes.pie(
        shares,
        colors=colours,
        startangle=90,
        counterclock=False,
        wedgeprops={"width": 0.42, "edgecolor": "white", "linewidth": 1},
    )
    middle = np.cumsum(shares) - shares / 2
    for place, (share, at) in enumerate(zip(shares, middle, strict=True)):
        wedges[place].set_gid(f"wedge: {number[place]}")
        if 100 * share >= FEWEST_PERCENT:
            angle = np.pi / 2 - 2 * np.pi * at
            axes.text(
                0.79 * np.cos(angle), 0.79 * np.sin(angle), f"{100 * share:.1f} %",
                ha="center", va="center", fontsize=8.5,
                color="white" if place < len(number) / 2 else INK,
            )  # fmt: skip
    axes.legend(
        wedges, [f"{n}" for n in number], loc="center", title="In exactly\nn SAEs",
        handlelength=1, ncols=1 + len(number) // 7,
    )  # fmt: skip
    over = f", mean over {len(names)} SAEs" if len(names) > 1 else ""
    axes.set_title(f"Share of an SAE's latents ({criterion}){over}")
    return Drawing(figure, {"saes": number, "share": shares})


@house_style()
def group_sizes(table: Table, *, criterion: str) -> Drawing:
    """Draw how many groups of linked latents have a latent of exactly n SAEs.

    Args:
        table: one row a latent of all SAEs: ``seed``, the SAE's place in the list, and
            ``group_size``, how many SAEs have a latent in its group. Other columns are left out.
        criterion: what links two latents, in words.

    Returns:
        The drawing. Its table has one row for each n from 1 to S: ``size`` (n), ``groups``, and
        ``latents``, how many latents of all SAEs these groups hold.
    """
    saes = int(table["seed"].max(initial=0)) + 1
    size = np.arange(1, saes + 1)
    latents = np.bincount(table["group_size"], minlength=saes + 1)[1:]
    drawn = {"size": size, "groups": latents // size, "latents": latents}
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    bars = axes.bar(size, drawn["groups"], width=0.7, color=ordered_colours(saes))
    total = max(int(latents.sum()), 1)
    for place, bar in enumerate(bars):
        bar.set_gid(f"bar: {size[place]}")
        share = f"{100 * latents[place] / total:.1f} %\nof all latents"
        axes.annotate(
            f"{drawn['groups'][place]:,}\n{share if saes <= MOST_TOLD else ''}".strip(),
            (size[place], drawn["groups"][place]), xytext=(0, 3), textcoords="offset points",
            ha="center", va="bottom", fontsize=8.5,
        )  # fmt: skip
    axes.set(
        ylim=(0, 1.2 * max(int(drawn["groups"].max()), 1)),
        xlabel="Number of SAEs that have a latent in the group",
        ylabel=f"Number of groups ({criterion})",
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.grid(axis="y")
    return Drawing(figure, drawn)


@house_style()
def heat_map(table: Table, *, criterion: str) -> Drawing:
    """Draw which share of each SAE's latents each other SAE shares.

    Args:
        table: one row for each ordered pair: ``of`` and ``with``, names, and ``share``. Pairs may
            be missing.
        criterion: what counts as shared, in words.
    """
    names = sorted({*table["of"].tolist(), *table["with"].tolist()}, key=_natural)
    grid = np.full((len(names), len(names)), np.nan)
    for one, other, share in zip(table["of"], table["with"], table["share"], strict=True):
        grid[names.index(one), names.index(other)] = share
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid, cmap=ORDERED)
    image.set_gid("cells")
    if len(names) <= MOST_NUMBERED:
        _write_cells(axes, grid)
    ticks = np.arange(len(names))
    axes.set_xticks(ticks, names, rotation=90)
    axes.set_yticks(ticks, names)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="... that this SAE shares", ylabel="Latents of this SAE ...")
    figure.colorbar(image, ax=axes, label=f"Share of latents ({criterion})")
    return Drawing(figure, table)


def _write_cells(axes: Axes, grid: NDArray[np.float64]) -> None:
    middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
    for (row, column), share in np.ndenumerate(grid):
        if np.isfinite(share):
            axes.text(
                column, row, f"{share:.2f}", ha="center", va="center", fontsize=8.5,
                color="white" if share < middle else INK,
            )  # fmt: skip


def _natural(name: str) -> list[tuple[int, str]]:
    """Order seed10 behind seed9."""
    parts = "".join(c if c.isdigit() else f" {c} " for c in name).split()
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
