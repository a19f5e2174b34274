"""The overview as a reader sees it, in a headless Chromium: wide and narrow, light and dark."""

import io

import numpy as np
import pytest
from PIL import Image
from twinsae.matching.report import render, render_training

from . import browser_views
from .axe import serious

pytestmark = pytest.mark.slow

FIGURES = ("alignment", "thresholds", "max-vs-matched", "max-cosine", "matched-cosine")
CURVES = ("training-fvu", "training-l0", "training-dead")
SIZES = {"wide": 1280, "narrow": 360}

# For each text in a figure, how far it sticks out of the figure's box, in CSS pixels.
STICKS_OUT = """figure => {
  const box = figure.getBoundingClientRect();
  return [...figure.querySelectorAll('text')].map(text => {
    const inner = text.getBoundingClientRect();
    return [text.textContent, Math.max(box.left - inner.left, inner.right - box.right,
                                       box.top - inner.top, inner.bottom - box.bottom)];
  });
}"""

# A wide table scrolls in its own frame; nothing else does.
OVERFLOWING = """() => [...document.querySelectorAll('html, .card, figure')]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 200))"""

# The colour of each text and of what lies behind it, as [r, g, b].
COLOURS = """() => {
  const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    const colour = rgb(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? behind(element.parentElement) : colour.slice(0, 3);
  };
  // A figure's colours are those of print, and turned by a filter where it is dark.
  const texts = 'h1, h2, h3, p, li, th, td, code, small, dt, dd, figcaption, data, '
    + 'svg:not(.plate svg) text';
  return [...document.querySelectorAll(texts)].map(element => {
    const style = getComputedStyle(element);
    const colour = element.tagName === 'text' ? style.fill : style.color;
    return [element.tagName.toLowerCase(), rgb(colour).slice(0, 3), behind(element)];
  });
}"""


@pytest.fixture(scope="module")
def overview(tmp_path_factory, write_match, write_log):
    tmp_path = tmp_path_factory.mktemp("overview")
    write_match(tmp_path / "m", num_a=2500, num_b=2500)
    write_match(tmp_path / "u", quality=0)
    write_log(tmp_path / "run")
    return render(tmp_path / "m", run=tmp_path / "run", baseline=tmp_path / "u")


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("RGB"), dtype=int)


def contrast(one, other):
    """Return the contrast ratio of two 8-bit sRGB colours (WCAG 2.2)."""

    def luminance(colour):
        c = np.array(colour) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_every_figure_is_visible_and_whole(open_page, overview, width):
    page = open_page(overview, width=width)
    for name in FIGURES:
        figure = page.locator(f"#svg-{name}")
        box = figure.bounding_box()
        assert box["width"] >= min(260, 0.7 * width)
        assert box["height"] >= 150
        # One is too wide for a phone, and scrolls in its frame.
        frame = page.locator(".plate", has=figure).bounding_box()
        assert frame["x"] >= 0
        assert frame["x"] + frame["width"] <= width
        sticking = [text for text, by in figure.evaluate(STICKS_OUT) if by > 1]
        assert not sticking
        image = pixels(figure)
        background = image[2, 2]
        drawn = np.abs(image - background).sum(-1) > 60
        assert 0.01 < drawn.mean() < 0.8
    assert page.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_a_training_page_fits(open_page, tmp_path, write_log, width):
    write_log(tmp_path, seeds=(0, 1, 2))
    page = open_page(render_training(tmp_path), width=width, scheme="dark")
    for name in CURVES:
        assert page.locator(f"#svg-{name}").is_visible()
    assert page.evaluate(OVERFLOWING) == []
    for tag, colour, background in page.evaluate(COLOURS):
        assert contrast(colour, background) >= 4.5, tag


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, overview, scheme):
    found = open_page(overview, scheme=scheme).evaluate(COLOURS)
    assert {tag for tag, _, _ in found} >= {"h1", "h2", "p", "td", "figcaption"}
    for tag, colour, background in found:
        assert contrast(colour, background) >= 4.5, tag
        assert (sum(background) < sum(colour)) == (scheme == "dark")


@pytest.mark.parametrize("scheme", browser_views.SCHEMES)
@pytest.mark.parametrize("size", browser_views.SIZES)
def test_axe_finds_nothing_serious(open_page, overview, size, scheme):
    width, height = browser_views.SIZES[size]
    page = open_page(overview, width=width, height=height, scheme=scheme, bypass_csp=True)
    browser_views.take_picture(page, "overview", size, scheme)
    assert serious(page) == {}


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ('<img src="https://example.com/x.png">', "Content Security Policy"),
        ('<a id="a" href="../outside.html">go</a>', "outside the folder"),
    ],
)
def test_a_broken_page_would_be_told(open_page, problems, overview, markup, problem):
    broken = overview.with_name("broken.html")
    broken.write_text(overview.read_text().replace("</main>", f"{markup}</main>"))
    overview.parents[1].joinpath("outside.html").touch()
    page = open_page(broken)
    if page.locator("#a").count():
        page.click("#a")
    assert any(problem in found for found in problems)
    problems.clear()
