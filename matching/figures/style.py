"""The look of every figure: one palette, one set of sizes, whatever the user's own settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

# Seven colours that readers with any kind of colour vision tell apart, by Okabe and Ito,
# "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/. Series also differ in marker,
# dash or place.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
INK = "#000000"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MUTED = "#6B6B6B"
GRID = "#D9D9D9"

ORDERED = "viridis"
"""The scale of what has an order: it also grows lighter, so it reads without any hue."""
LIGHTEST = 0.93  # of the scale; lighter yellow is hard to see on white

DASHED = (0, (4, 3))
DOTTED = (0, (1, 2))

SQUARE = (5.0, 5.0)  # inches, as the paper's; those of its joint plots and of Fig 3 are larger
JOINT = (6.0, 6.0)
WIDE = (7.5, 5.0)
LARGE = (10.0, 10.0)

MOST_VECTORS = 2_000
"""Points that an SVG holds singly, at 100 bytes each. More are stored as pixels, all of them."""
PIXELS_PER_INCH = 200

STYLE: dict[Any, Any] = {  # the keys are literals to newer matplotlib, strings to older
    "svg.fonttype": "none",
    "svg.hashsalt": "twinsae",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with this look; then restore the user's own settings. Decorates functions, too."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def ordered_colours(number: int) -> list[str]:
    """Return so many colours of a scale from dark to light, for groups that have an order."""
    scale = mpl.colormaps[ORDERED]
    return [to_hex(scale(LIGHTEST * place / max(number - 1, 1))) for place in range(number)]


def mark_line(axes: Axes, at: float, text: str, *, across: bool = False) -> None:
    """Draw a thin dashed line at ``at`` of the x axis, or the y axis if ``across``, and name it."""
    line = axes.axhline if across else axes.axvline
    line(at, color=MUTED, linewidth=0.8, linestyle=DASHED)
    place = (1.0, at) if across else (at, 1.0)
    axes.annotate(
        text,
        place,
        xycoords=("axes fraction", "data") if across else ("data", "axes fraction"),
        xytext=(-3, 3) if across else (3, -10),
        textcoords="offset points",
        horizontalalignment="right" if across else "left",
        color=MUTED,
        fontsize=8.5,
    )
