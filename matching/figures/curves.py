"""Curves of substitution and of survival: what is left after more and more of something."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..substitution.curves import area
from .drawing import Drawing, Table
from .style import (
    BLUE,
    DASHED,
    DOTTED,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    SQUARE,
    VERMILION,
    WIDE,
    house_style,
    mark_line,
)

LONG = (0, (8, 2))

# choice of partners: (words, colour, dash)
CHOICES = {
    "exact": ("Exact matching", BLUE, "solid"),
    "greedy": ("Greedy", SKY, DASHED),
    "max_cosine": ("Largest cosine", ORANGE, "dashdot"),
    "activations": ("By activations", PURPLE, LONG),
    "random": ("Random", INK, DOTTED),
}
KINDS = {"direction": "Directions replaced", "activation": "Activations replaced"}
LOWEST = -0.5
"""Of the axis of quality: curves that fall lower leave the picture. The table has all of them."""


@house_style()
def substitution(table: Table) -> Drawing:
    """Draw how much of a reconstruction is left while latents are replaced by their partners.

    Args:
        table: one row a point: ``choice``, how partners are chosen; ``kind``, "direction" or
            "activation"; ``share``, which share of the live latents is replaced, of those with the
            largest cosines first; ``quality``, what is left: 1 is all, 0 what the mean gives. Other
            columns are kept.

    Returns:
        The drawing. In the legends stands the area under each curve.
    """
    figure = Figure(figsize=WIDE, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for (kind, title), axes in zip(KINDS.items(), panels, strict=True):
        for choice, (words, colour, dash) in CHOICES.items():
            own = (table["kind"] == kind) & (table["choice"] == choice)
            if not own.any():
                continue
            quality = table["quality"][own]
            (line,) = axes.plot(
                np.append(0, table["share"][own]), np.append(1, quality), color=colour,
                linestyle=dash, linewidth=1.8, label=f"{words}: {area(quality):.3f}",
            )  # fmt: skip
            line.set_gid(f"line: {kind} {choice}")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlim=(0, 1), title=title, xlabel="Share of live latents replaced")
        axes.grid(axis="y")
        axes.legend(loc="lower left", title="Area under the curve")
    bottom = max(LOWEST, min(0.0, float(table["quality"].min(initial=0))) - 0.05)
    panels[0].set(ylim=(bottom, 1.02), ylabel="Share of the explained variance that is left")
    return Drawing(figure, table)


@house_style()
def survival(table: Table, *, side: str, threshold: float) -> Drawing:
    """Draw how many latents survive a chain of matches, and how far these have drifted.

    Args:
        table: one row a step and latent: ``step``, 1 to T; ``survived``, whether all cosines so far
            are above the threshold; ``to_first``, the cosine with the first SAE's latent, NaN where
            there is none. Other columns are left out.
        side: "decoder" or "encoder".
        threshold: that cosines must exceed; drawn as a line.

    Returns:
        The drawing. Its table has one row a step, 0 to T: ``step``, ``survived``, the share of the
        first SAE's latents, and ``to_first``, the mean over those that survived, NaN if unknown.
    """
    steps = np.unique(table["step"])
    shares, cosines = [1.0], [1.0]
    for step in steps:
        own = table["step"] == step
        alive = table["survived"][own].astype(bool)
        kept = table["to_first"][own][alive]
        shares.append(float(alive.mean()))
        cosines.append(float(kept.mean()) if kept.size else np.nan)
    number = int((table["step"] == steps[0]).sum())
    drawn = {
        "step": np.append(0, steps), "survived": np.array(shares), "to_first": np.array(cosines),
    }  # fmt: skip
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    for name, words, colour, dash, marker in (
        ("survived", f"Share that survives (of {number:,})", BLUE, "solid", "o"),
        ("to_first", "Mean cosine of these with the first", VERMILION, DASHED, "s"),
    ):
        (line,) = axes.plot(
            drawn["step"], drawn[name], color=colour, linestyle=dash, marker=marker, label=words
        )
        line.set_gid(f"line: {name}")
    mark_line(axes, threshold, f"threshold {threshold:g}", across=True)
    axes.set(
        ylim=(0, 1.05),
        xlabel=f"Step of the chain (matches of {side}s)",
        ylabel="Share of latents, or cosine",
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.grid(axis="y")
    axes.legend(loc="best")
    return Drawing(figure, drawn)
