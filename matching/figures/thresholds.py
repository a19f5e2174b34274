"""How many latents are shared, by the cosine that is asked for."""

import numpy as np
from matplotlib.figure import Figure

from .drawing import Drawing, Table
from .style import BLUE, GREEN, SQUARE, VERMILION, house_style, mark_line

# criterion: (words, colour, dash), as in the paper's legend. What lies below comes first.
LINES = {
    "max": ("Max cosine similarity (max)", GREEN, "dashdot"),
    "and": ("Threshold cosine similarity (and)", BLUE, "solid"),
    "and_equal": ("Equal + threshold (and_equal)", VERMILION, "dashed"),
}


@house_style()
def thresholds(table: Table, *, threshold: float) -> Drawing:
    """Draw the share of latents that three criteria count, by threshold (arXiv 2501.16615).

    Args:
        table: one row for each pair of SAEs and threshold: ``pair``, ``threshold``, ``and``,
            ``and_equal``, ``max``; all pairs have the same thresholds in the same order.
        threshold: the one in use; drawn as a line.

    Returns:
        The drawing. Its table has one row a threshold: for each criterion the mean over pairs, and
        with several pairs ``<criterion>_lowest`` and ``_highest``, drawn as a band.

    Raises:
        ValueError: a criterion is missing.
    """
    missing = [name for name in LINES if name not in table]
    if missing:
        raise ValueError(
            f"thresholds: the match lacks {', '.join(missing)}, which need both sides: run "
            "`twinsae match --side both`"
        )
    pairs = len(set(table["pair"].tolist()))
    drawn: Table = {"threshold": table["threshold"].reshape(pairs, -1)[0]}
    figure = Figure(figsize=SQUARE, layout="constrained")
    axes = figure.subplots()
    for name, (words, colour, dash) in LINES.items():
        shares = table[name].reshape(pairs, -1)
        drawn[name] = shares.mean(axis=0)
        (line,) = axes.plot(
            drawn["threshold"], drawn[name], color=colour, linestyle=dash, linewidth=2, label=words
        )
        line.set_gid(f"line: {name}")
        if pairs > 1:
            low, high = shares.min(axis=0), shares.max(axis=0)
            drawn |= {f"{name}_lowest": low, f"{name}_highest": high}
            axes.fill_between(drawn["threshold"], low, high, color=colour, alpha=0.15, linewidth=0)
    mark_line(axes, threshold, f"{threshold:g}")
    over = f", mean of {pairs} pairs" if pairs > 1 else ""
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.05),
        xlabel="Threshold (cosine)",
        ylabel=f"Fraction of overlapping latents (of all latents{over})",
    )
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y")
    axes.legend(loc="best")
    return Drawing(figure, drawn)
