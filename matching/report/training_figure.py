"""The figure of one logged quantity of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from ..figures.drawing import Drawing
from ..figures.style import house_style

SPREAD_FOR_LOG = 20  # of largest to smallest value


@dataclass(frozen=True, eq=False)
class Curve:
    """A line: (n,) values against (n,) tokens."""

    label: str
    tokens: np.ndarray
    values: np.ndarray
    colour: str
    style: str = "solid"


@house_style()
def training_figure(
    curves: Sequence[Curve], label: str, *, whole: bool = False, log: bool = False
) -> Drawing:
    """Draw one logged quantity against tokens.

    Args:
        curves: what to draw, the first lowest.
        label: what the vertical axis says.
        whole: whether values are whole numbers.
        log: use a logarithmic axis if the values are far apart.

    Returns:
        The drawing. Its table has one row a point: ``sae``, ``tokens``, ``value``.
    """
    figure = Figure(figsize=(3.5, 2.6), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(
            curve.tokens,
            curve.values,
            color=curve.colour,
            linewidth=1.3,
            linestyle=curve.style,
            label=curve.label,
            marker="o" if curve.values.size == 1 else "",
            markersize=3,
        )
    values = np.concatenate([curve.values for curve in curves])
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 0.0
    if log and finite.size and 0 < SPREAD_FOR_LOG * float(finite.min()) < top:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, 1.08 * top if top > 0 else 1)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=whole))
    axes.set(xlabel="Tokens", ylabel=label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    names = np.repeat([curve.label for curve in curves], [curve.values.size for curve in curves])
    tokens = np.concatenate([curve.tokens for curve in curves])
    return Drawing(figure, {"sae": names, "tokens": tokens, "value": values})
