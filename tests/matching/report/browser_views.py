"""What the tests do with the latent browser's page: find its parts, and show its views."""

import re
from pathlib import Path

from playwright.sync_api import expect

SIZES = {"wide": (1280, 860), "phone": (390, 780)}
SCHEMES = ("light", "dark")
PICTURES = Path(__file__).parents[3] / "build" / "screenshots"

# The latents of the rows that are drawn, in the list's order.
SHOWN = """() => [...document.querySelectorAll('[role=grid] [data-latent]')]
  .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map(row => +row.dataset.latent)"""


def rows(page):
    """Return the list's rows that are drawn."""
    return page.locator("[role=grid] [data-latent]")


def column(page, name, latent):
    """Return the part of the detail that is about one latent of the SAE of this name."""
    return page.get_by_role("article", name=f"latent {latent} of {name}", exact=True)


def expect_count(page, count, of=1000):
    expect(page.locator("#count")).to_have_text(f"{count:,} of {of:,}")


def expect_order(page, latents):
    """Check the first rows of the list, as many as the page has drawn."""
    expect(rows(page).first).to_have_attribute("data-latent", str(latents[0]))
    shown = page.evaluate(SHOWN)
    assert len(shown) >= min(10, len(latents))
    assert shown == latents[: len(shown)].tolist()


def expect_open(page, name, latent):
    expect(column(page, name, latent)).to_be_visible()
    expect(page).to_have_url(re.compile(rf"latent={latent}\b"))


def show_views(page, size, address=""):
    """Show one view after the other, and yield the name of each."""
    page.goto(page.url.split("#")[0] + address)
    expect(rows(page).first).to_be_visible()
    page.wait_for_load_state("networkidle")  # labels come later than the rows
    yield "list"
    if size == "phone":
        page.get_by_role("tab", name="Plot").click()
        yield "plot"
        page.get_by_role("tab", name="List").click()
    rows(page).first.click()
    expect(page.locator("mark.peak").first).to_be_visible()
    yield "latent"


def take_picture(page, view, size, scheme):
    """Keep a picture in build/screenshots."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{view}-{size}-{scheme}.png", full_page=view == "overview")
