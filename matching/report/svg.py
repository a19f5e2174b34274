"""From a matplotlib figure to an inline SVG that takes its colours and type from the page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Colours that no figure uses for itself: in the SVG they become the page's own, so that one figure
# serves light and dark. Pixels of rasterised points keep theirs, hence the fixed data colours.
INK = "#010203"
MUTED = "#010204"
GRID = "#010205"
EQUAL_INK = "#010206"
DIFFERENT_INK = "#010207"
CARD = "#010208"
THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    EQUAL_INK: "var(--equal-ink)",
    DIFFERENT_INK: "var(--different-ink)",
    CARD: "var(--card)",
}

# Data colours that stand out on white and on near-black alike, also without colour vision.
BLUE = "#3f86c9"
ORANGE = "#d9772e"
GREEN = "#3c9a78"
GREY = "#868c96"
PURPLE = "#9a6fc4"
RED = "#c9505e"
OLIVE = "#8d8a2e"

STYLE: dict[Any, Any] = {  # the keys are literals to newer matplotlib, strings to older
    "svg.fonttype": "none",
    "svg.hashsalt": "twinsae",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.facecolor": CARD,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the report's look, whatever the user's own matplotlib settings; then restore."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """Return ``figure`` as an ``<svg>`` element for a page that holds several.

    ``name`` (letters and dashes, one a figure) goes before every id, because matplotlib numbers
    them alike in all figures. ``label`` is what a screen reader says. The page scales the element
    by its viewBox, sets its fonts, and defines the colours of ``THEME``.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=200)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    for placeholder, variable in THEME.items():
        text = text.replace(placeholder, variable)
    start = re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', flags=re.DOTALL)
    opening = f'<svg id="{name}" viewBox="\\1" role="img" aria-label="{escape(label)}">'
    return Markup(start.sub(opening, text, count=1))
