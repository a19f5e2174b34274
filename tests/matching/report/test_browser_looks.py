"""What axe and the eye see of the latent browser: wide and on a phone, light and dark.

The pictures lie in build/screenshots afterwards.
"""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from .browser_views import SCHEMES, SIZES, show_views

pytestmark = pytest.mark.slow

PICTURES = Path(__file__).parents[3] / "build" / "screenshots"
# Axe would fetch stylesheets, which a page from disk may not.
OPTIONS = {"preload": False, "resultTypes": ["violations"]}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious(open_page, planted, size, scheme):
    width, height = SIZES[size]
    page = open_page(
        planted.folder / "latents.html", width=width, height=height, scheme=scheme, bypass_csp=True
    )
    PICTURES.mkdir(parents=True, exist_ok=True)
    for view in show_views(page, size):
        page.screenshot(path=PICTURES / f"{view}-{size}-{scheme}.png")
        found = Axe().run(page, options=OPTIONS).response["violations"]
        serious = [
            (view, one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_would_tell(open_page, planted):
    page = open_page(planted.folder / "latents.html", bypass_csp=True)
    page.evaluate("document.body.append(document.createElement('button'))")
    found = Axe().run(page, options=OPTIONS).response["violations"]
    assert "button-name" in {one["id"] for one in found if one["impact"] == "critical"}
