"""What axe and the eye see of the pages: wide and on a phone, light and dark.

The pictures lie in build/screenshots afterwards.
"""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from twinsae.matching.report import latents, render

from .browser_views import SCHEMES, SIZES, show_views

pytestmark = pytest.mark.slow

PICTURES = Path(__file__).parents[3] / "build" / "screenshots"
# Axe would fetch stylesheets, which a page from disk may not.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}


def serious(page, context=None):
    """Return the rules that are broken, each with a place and why."""
    found = Axe().run(page, context, OPTIONS).response["violations"]
    return {
        one["id"]: (one["nodes"][0]["html"], one["nodes"][0]["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
    }


def take_picture(page, view, size, scheme):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{view}-{size}-{scheme}.png", full_page=view == "overview")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_browser_can_be_used_by_all(open_page, planted, size, scheme):
    width, height = SIZES[size]
    page = open_page(
        planted.folder / "latents.html", width=width, height=height, scheme=scheme, bypass_csp=True
    )
    for view in show_views(page, size):
        take_picture(page, view, size, scheme)
        assert serious(page) == {}, view
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def overview(tmp_path_factory, write_match):
    folder = tmp_path_factory.mktemp("looks")
    write_match(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "write_browser", lambda *_args, **_options: None)
        return render(folder)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_overview_can_be_used_by_all(open_page, overview, size, scheme):
    width, height = SIZES[size]
    page = open_page(overview, width=width, height=height, scheme=scheme, bypass_csp=True)
    take_picture(page, "overview", size, scheme)
    assert serious(page) == {}


def test_a_button_without_a_name_would_be_told(open_page, planted):
    page = open_page(planted.folder / "latents.html", bypass_csp=True)
    page.evaluate("document.body.append(document.createElement('button'))")
    assert "button-name" in serious(page, "body > button")
