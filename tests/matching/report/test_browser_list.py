"""The latent browser's list in a headless Chromium, against numpy on what was planted."""

import csv
import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import expect

from .browser_views import expect_count, expect_open, expect_order, rows
from .planted_browser import HOSTILE_EXPLANATION, HOSTILE_NAME, found_by
from .planted_pairs import criteria, turned

pytestmark = pytest.mark.slow

# {group: its count}
CHIPS = """() => Object.fromEntries([...document.querySelectorAll('[data-group]')].map(
  chip => [chip.dataset.group, chip.querySelector('.count').textContent]))"""


@pytest.fixture
def browser(open_page, planted):
    """Return a function that opens the planted folder's list."""

    def open_(address="", **options):
        page = open_page(planted.folder / "latents.html", address=address, **options)
        expect(rows(page).first).to_be_visible()
        return page

    return open_


@pytest.mark.parametrize("turn", [False, True], ids=["as matched", "turned"])
def test_counts_are_those_of_numpy(browser, planted, turn):
    pair, latents = planted.pairs[0, 2], 1000
    names = ["seed0", quote(HOSTILE_NAME)]
    if turn:
        pair, latents = turned(pair), 800
        names.reverse()
    page = browser(f"#base={names[0]}&with={names[1]}")
    for threshold in (0.7, 0.5, 0.25, float(np.nextafter(np.float32(0.7), np.float32(1)))):
        page.goto(
            page.url.split("#")[0] + f"#base={names[0]}&with={names[1]}&threshold={threshold}"
        )
        expected = {name: int(mask.sum()) for name, mask in criteria(pair, threshold).items()}
        expect(page.locator("[data-group=and] .count")).to_have_text(f"{expected['and']:,}")
        assert (
            page.evaluate(CHIPS).items() >= {name: f"{n:,}" for name, n in expected.items()}.items()
        )
    page.locator("[data-group=and]").click()
    expect_count(page, expected["and"], latents)


def test_the_threshold_slider_counts(browser, planted):
    page = browser("#show=and_equal")
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    threshold = float(slider.input_value())
    assert threshold < 0.7
    expect_count(page, criteria(planted.pairs[0, 1], threshold)["and_equal"].sum())
    expect(page).to_have_url(re.compile(f"threshold={threshold}"))


def test_sorting_is_numpys_and_stable(browser, planted):
    page = browser()
    for name, values in {
        "decoder": planted.pairs[0, 1]["decoder.cosine"],
        "seeds": planted.columns[0]["seeds"],
    }.items():
        for down in (True, False):
            key = -values if down else values
            page.goto(page.url.split("#")[0] + f"#sort={'-' * down}{name}")
            expect_order(page, np.argsort(key, kind="stable"))


def test_clicks_on_a_header_sort_both_ways(browser, planted):
    page = browser()
    cosine = planted.pairs[0, 1]["decoder.cosine"]
    header = page.get_by_role("columnheader", name=re.compile("^decoder"))
    for direction, order in (
        ("descending", np.argsort(-cosine)),
        ("ascending", np.argsort(cosine)),
    ):
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", direction)
        expect_order(page, order)


def test_filters_and_search_combine(browser, planted):
    both = criteria(planted.pairs[0, 1])["and"]
    fires = planted.columns[0]["fires_per_million"]
    page = browser("#show=and&fires_per_million=100:5000")
    ranged = both & (fires >= 100) & (fires <= 5000)
    expect_count(page, ranged.sum())
    search = page.get_by_role("searchbox")
    for text in ("WORD1", "weather", "gr\u00fc\u00dfe", "</script>"):
        search.fill(text)
        hits = ranged & found_by(planted, 0, text.lower())
        expect_count(page, hits.sum())
    search.fill("#123")
    page.locator("[data-group=and]").click()
    expect_count(page, int((fires[123] >= 100) & (fires[123] <= 5000)))


def test_an_empty_list_names_what_empties_it(browser):
    page = browser()
    page.get_by_role("searchbox").fill("no such word")
    expect_count(page, 0)
    expect(page.locator(".list").get_by_text("search")).to_be_visible()


def test_csv_and_json_are_numpys(browser, planted, tmp_path):
    page = browser("#show=and&sort=-decoder")
    pair = planted.pairs[0, 1]
    chosen = np.flatnonzero(criteria(pair)["and"])
    chosen = chosen[np.argsort(-pair["decoder.cosine"][chosen], kind="stable")]
    expected = {
        "decoder": pair["decoder.cosine"],
        "encoder.partner": pair["encoder.partner"],
        "decoder.lead": pair["decoder.lead"],
        **{
            c["name"]: planted.columns[0][c["name"]] for c in planted.manifest["saes"][0]["columns"]
        },
    }
    lines = download(page, "CSV", tmp_path).splitlines()
    head = [line for line in lines if line.startswith("#")]
    table = list(csv.DictReader(lines[len(head) :]))
    assert any("d" * 64 in line for line in head)
    exported = json.loads(download(page, "JSON", tmp_path))
    assert exported["provenance"]["decoder_matching_sha256"] == "d" * 64
    for read in (table, exported["latents"]):
        assert [int(row["id"]) for row in read] == chosen.tolist()
        for name, values in expected.items():
            found = np.array(["nan" if row[name] in ("", None) else row[name] for row in read])
            np.testing.assert_array_equal(found.astype(np.float32), values[chosen])


def download(page, kind, folder):
    with page.expect_download() as started:
        page.get_by_role("button", name=kind, exact=True).click()
    started.value.save_as(folder / kind)
    return (folder / kind).read_text(encoding="utf-8")


def test_keyboard_alone_from_search_to_export(browser, planted, tmp_path):
    page = browser()
    page.keyboard.press("/")
    page.keyboard.type("weather")
    hits = np.flatnonzero(found_by(planted, 0, "weather"))
    expect_count(page, len(hits))
    page.keyboard.press("Enter")
    for key in ("j", "ArrowDown", "k"):
        page.keyboard.press(key)
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect_open(page, "seed0", hits[1])
    page.keyboard.press("]")
    expect_open(page, "seed0", hits[2])
    assert f"pins={hits[1]}" in page.url
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Latent", exact=True)).to_be_hidden()
    tab_to(page, "CSV")
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    started.value.save_as(tmp_path / "csv")
    lines = (tmp_path / "csv").read_text().splitlines()
    table = csv.DictReader(line for line in lines if not line.startswith("#"))
    assert [int(row["id"]) for row in table] == hits.tolist()


def tab_to(page, text):
    """Press the Tab key until what has this text has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == text:
            return
    pytest.fail(f"the Tab key does not reach {text!r}")


def test_a_selection_in_the_plot_is_the_lists(browser, planted):
    page = browser()
    box = page.locator("canvas").first.bounding_box()
    across = [box["x"] + share * box["width"] for share in (0.5, 0.9)]
    down = [box["y"] + share * box["height"] for share in (0.2, 0.6)]
    page.mouse.move(across[0], down[0])
    page.mouse.down()
    page.mouse.move(across[1], down[1], steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)  # the address follows a drag with some delay
    found = re.search(r"box=([\d.e-]+):([\d.e-]+),([\d.e-]+):([\d.e-]+)", page.url)
    x0, x1, y0, y1 = map(float, found.groups())
    pair = planted.pairs[0, 1]
    x, y = pair["decoder.cosine"].astype(float), pair["encoder.cosine"].astype(float)
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    assert 20 < inside.sum() < 900
    expect_count(page, inside.sum())
    expect_order(page, np.flatnonzero(inside))
    assert 0.3 < x1 - x0 < 0.5  # 40 % of an axis that ends at 1


VIEW = "#base=seed1&with=seed0&show=and&threshold=0.6&q=word1&sort=-encoder"


def test_a_deep_link_restores_the_view(browser, planted):
    """In a fresh browser, and though the words that it searches for come late."""
    pair = turned(planted.pairs[0, 1])
    both = criteria(pair, 0.6)["and"]
    hits = found_by(planted, 1, "word1") & both
    latents = np.flatnonzero(hits)
    order = latents[np.argsort(-pair["encoder.cosine"][latents], kind="stable")]
    held = []
    page = browser(
        f"{VIEW}&pins={order[0]},{order[5]}&latent={order[3]}",
        prepare=lambda page: page.route("**/vocabulary.js", lambda route: held.append(route)),
    )
    expect_count(page, both.sum())
    held[0].continue_()
    expect_count(page, hits.sum())
    expect(page.locator("[data-group=pinned] .count")).to_have_text("2")
    expect_order(page, order)
    expect_open(page, "seed1", order[3])


def test_back_returns_to_what_was_open(browser):
    page = browser("#latent=5")
    expect_open(page, "seed0", 5)
    rows(page).nth(7).click()
    expect_open(page, "seed0", 7)
    page.go_back()
    expect_open(page, "seed0", 5)


def test_tabs_of_a_phone_show_one_part_each(browser):
    page = browser(width=390, height=780)
    parts = {
        "List": page.get_by_role("grid"),
        "Plot": page.locator("canvas").first,
        "Latent": page.get_by_role("region", name="Latent", exact=True),
    }
    rows(page).first.click()
    for name in parts:
        page.get_by_role("tab", name=name).click()
        for part, element in parts.items():
            expect(element).to_be_visible(visible=part == name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_markup_stays_text(browser):
    page = browser("#latent=1")
    expect(page).to_have_title(re.compile(re.escape("<i>&amp; </title><script>")))
    expect(page.get_by_role("region", name="Latent", exact=True)).to_contain_text(
        HOSTILE_EXPLANATION
    )
    expect(rows(page).nth(1)).to_contain_text("</script><script>")
    expect(page.locator("#app")).to_contain_text(HOSTILE_NAME)
    assert page.evaluate("window.broken") is None
    assert page.locator("#app script, #app img, #app b[onclick]").count() == 0
