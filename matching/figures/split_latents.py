"""What latents of larger SAEs do in the smaller one, by how near their parents are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .drawing import Drawing, Table
from .points import Group, draw_points, points_legend
from .style import BLUE, MUTED, SQUARE, VERMILION, house_style, mark_line


@house_style()
def splitting(table: Table, *, threshold: float) -> Drawing:
    """Draw the change of the smaller SAE's FVU when a latent is inserted, by its parent's cosine.

    Args:
        table: one row a latent of a larger SAE: ``level``, 1 for the second SAE given, ``fired``,
            ``cosine`` with its parent, ``novel`` or not, and ``inserted``, the change of FVU. Other
            columns are kept.
        threshold: the cosine below which a latent is novel; drawn as a line.

    Returns:
        The drawing, one panel a level. Its table has the latents that fire. Changes are on a scale
        that is linear around 0, and logarithmic beyond the power of ten below their median size.
    """
    live = table["fired"] > 0
    drawn = {name: column[live] for name, column in table.items()}
    levels = np.unique(table["level"])
    width, height = SQUARE
    figure = Figure(figsize=(width * max(len(levels), 1), height), layout="constrained")
    panels = figure.subplots(1, max(len(levels), 1), sharey=True, squeeze=False)[0]
    for level, axes in zip(levels, panels, strict=False):
        own = drawn["level"] == level
        total = int(own.sum())
        for words, colour, wanted in (("Novel", VERMILION, True), ("Reconstruction", BLUE, False)):
            chosen = own & (drawn["novel"].astype(bool) == wanted)
            group = Group(words, drawn["cosine"][chosen], drawn["inserted"][chosen], colour)
            helps = int((group.y < 0).sum())
            share = f", {100 * helps / group.y.size:.0f} % lower the error" if group.y.size else ""
            line = draw_points(axes, group, total, told=f"{group.y.size:,}{share}")
            line.set_gid(f"points: {words} {level}")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        mark_line(axes, threshold, f"{threshold:g}")
        axes.set(xlabel="Cosine with the parent")
        if len(levels) > 1:
            axes.set_title(f"SAE {level + 1}, in SAE {level}")
        points_legend(axes, total, "lower right")
    panels[0].set_ylabel("Change of the smaller SAE's FVU when the latent is inserted")
    _scale(panels[0], drawn["inserted"])
    return Drawing(figure, drawn)


def _scale(axes: Axes, changes: NDArray[np.float64]) -> None:
    sizes = np.abs(changes[changes != 0])
    if sizes.size:
        least = 10 ** np.floor(np.log10(np.median(sizes)))
        axes.set_yscale("symlog", linthresh=least)
        # Room for the legend below.
        axes.set_ylim(30 * min(-least, changes.min()), 3 * max(least, changes.max()))
