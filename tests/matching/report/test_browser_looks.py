"""What axe and the eye see of the latent browser: wide and on a phone, light and dark."""

import pytest

from .axe import serious
from .browser_views import SCHEMES, SIZES, show_views, take_picture

pytestmark = pytest.mark.slow


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


def test_a_button_without_a_name_would_be_told(open_page, planted):
    page = open_page(planted.folder / "latents.html", bypass_csp=True)
    page.evaluate("document.body.append(document.createElement('button'))")
    assert "button-name" in serious(page, "body > button")
