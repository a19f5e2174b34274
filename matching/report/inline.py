"""An SVG file as an element of a page that holds several."""

import re
from html import escape

from markupsafe import Markup


def inline_svg(text: str, name: str, label: str) -> Markup:
    """Return the picture as an ``<svg>`` element.

    Args:
        text: an SVG file that matplotlib wrote.
        name: letters and dashes, one a figure: the element's id is ``svg-<name>``, and the name
            goes before every id inside, because matplotlib numbers them alike in all figures.
        label: what a screen reader says.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[^"]*\s[^"]*"', "", text)  # names for readers of the file, some twice
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page's own
    opening = f'<svg id="svg-{name}" viewBox="\\1" role="img" aria-label="{_quoted(label)}">'
    start = re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', flags=re.DOTALL)
    return Markup(start.sub(opening, text, count=1))


def _quoted(label: str) -> str:
    return escape(label).replace("\\", r"\\")  # it is put into a pattern's replacement
