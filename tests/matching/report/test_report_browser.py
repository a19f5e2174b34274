"""The page as a reader sees it: opened in a headless Chromium, wide and narrow, light and dark."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from twinsae.matching.report import render, render_training

pytestmark = pytest.mark.slow

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
)
FIGURES = ("joint", "sweep", "histogram", "training-fvu", "training-l0", "training-dead")
SIZES = {"wide": 1280, "narrow": 360}

# For each text in a figure, how far it sticks out of the figure's box, in CSS pixels.
STICKS_OUT = """
const box = arguments[0].getBoundingClientRect();
return [...arguments[0].querySelectorAll('text')].map(text => {
  const inner = text.getBoundingClientRect();
  return [text.textContent, Math.max(box.left - inner.left, inner.right - box.right,
                                     box.top - inner.top, inner.bottom - box.bottom)];
});
"""

OVERFLOWING = """
return [...document.querySelectorAll('html, .scroll, .card, figure')]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 200));
"""

# The colour of each text and of what lies behind it, as [r, g, b].
COLOURS = """
const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
const behind = element => {
  const colour = rgb(getComputedStyle(element).backgroundColor);
  return colour[3] === 0 ? behind(element.parentElement) : colour.slice(0, 3);
};
const texts = 'h1, h2, h3, p, li, th, td, code, small, dt, dd, figcaption, data, svg text';
return [...document.querySelectorAll(texts)].map(element => {
  const style = getComputedStyle(element);
  const colour = element.tagName === 'text' ? style.fill : style.color;
  return [element.tagName.toLowerCase(), rgb(colour).slice(0, 3), behind(element)];
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        missing = "needs chromium and chromedriver (Debian: chromium, chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def page(tmp_path, write_match, write_log):
    write_match(tmp_path / "m", num_a=2500, num_b=2500)
    write_match(tmp_path / "u", quality=0)
    write_log(tmp_path / "run")
    return render(tmp_path / "m", run=tmp_path / "run", baseline=tmp_path / "u")


def show(browser, page, width, scheme="light"):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def pixels(element):
    return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB"), dtype=int)


def contrast(one, other):
    """Return the contrast ratio of two 8-bit sRGB colours (WCAG 2.2)."""

    def luminance(colour):
        c = np.array(colour) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_every_figure_is_visible_and_whole(browser, page, width):
    show(browser, page, width)
    for name in FIGURES:
        figure = browser.find_element(By.ID, name)
        box = figure.rect
        assert figure.is_displayed()
        assert box["width"] >= min(260, 0.7 * width)
        assert box["height"] >= 150
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        sticking = [text for text, by in browser.execute_script(STICKS_OUT, figure) if by > 1]
        assert not sticking
        image = pixels(figure)
        background = image[2, 2]
        drawn = np.abs(image - background).sum(-1) > 60
        assert 0.01 < drawn.mean() < 0.8
    assert browser.execute_script(OVERFLOWING) == []


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_a_training_page_fits(browser, tmp_path, write_log, width):
    write_log(tmp_path, seeds=(0, 1, 2))
    show(browser, render_training(tmp_path), width, "dark")
    for name in FIGURES[3:]:
        assert browser.find_element(By.ID, name).is_displayed()
    assert browser.execute_script(OVERFLOWING) == []
    for tag, colour, background in browser.execute_script(COLOURS):
        assert contrast(colour, background) >= 4.5, tag


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser, page, scheme):
    show(browser, page, SIZES["wide"], scheme)
    found = browser.execute_script(COLOURS)
    assert {tag for tag, _, _ in found} >= {"h1", "h2", "p", "td", "figcaption", "text"}
    for tag, colour, background in found:
        assert contrast(colour, background) >= 4.5, tag
        assert (sum(background) < sum(colour)) == (scheme == "dark")


def test_console_is_silent(browser, page):
    browser.get_log("browser")
    show(browser, page, SIZES["wide"])
    assert browser.get_log("browser") == []


def test_console_would_tell(browser, page):
    browser.get_log("browser")
    broken = page.with_name("broken.html")
    html = page.read_text().replace("</main>", '<img src="https://example.com/x.png"></main>')
    broken.write_text(html)
    show(browser, broken, SIZES["wide"])
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )
