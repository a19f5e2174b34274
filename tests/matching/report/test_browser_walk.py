"""From the overview to a shared latent, its counterpart, and their contexts, by clicks alone."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect
from twinsae.matching.report import latents, page, render
from twinsae.matching.schema import validate

from .browser_views import column, expect_count, rows
from .planted_browser import plant

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory, write_match):
    """An overview, beside the planted data of SAEs that have the same names."""
    planted = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            latents, "write_browser", lambda _, out, **_options: planted.append(plant(out))
        )
        # Figures take seconds to draw.
        patch.setattr(page, "shown_figures", lambda *_args, **_options: [])
        folder = tmp_path_factory.mktemp("walk")
        write_match(folder, num_a=1000, num_b=1000)
        return render(folder), planted[0]


def test_a_shared_latent_is_two_clicks_away(open_page, report):
    index, planted = report
    tab = open_page(index)
    tab.locator(".key li").filter(has_text="same partner").get_by_role("link").click()
    pair = planted.pairs[0, 1]
    same = (pair["decoder.partner"] == pair["encoder.partner"]) & (
        np.minimum(pair["decoder.cosine"], pair["encoder.cosine"]) > 0.7
    )
    expect_count(tab, same.sum())
    latent = int(np.flatnonzero(same)[0])
    rows(tab).first.click()

    counterpart = int(pair["decoder.partner"][latent])
    for name, of in (("seed0", latent), ("seed1", counterpart)):
        article = column(tab, name, of)
        expect(article.locator("mark.peak").first).to_be_visible()
        for side in ("decoder", "encoder"):
            expect(article).to_contain_text(f"{pair[f'{side}.cosine'][latent]:.3f}")
        # How sure the match is, in a word.
        expect(article).to_contain_text(re.compile("Clear|Another latent|tie|closer", re.I))


def test_what_is_planted_is_a_valid_report(planted):
    found = validate(planted.folder)
    assert found.checked
    assert found.faults == []
