"""A latent's detail in a headless Chromium, against what was planted."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from .browser_views import column
from .planted_pairs import SIDES, turned

pytestmark = pytest.mark.slow

# Of each context: its text, and the activations that its marks tell.
LINES = """article => [...article.querySelectorAll('.context')].map(line => [
  line.querySelector('.text').textContent,
  [...line.querySelectorAll('mark')].map(mark => [mark.textContent, mark.title]),
])"""
PICTURES = {10: "\u21b5", 9: "\u21e5"}


def open_latent(open_page, planted, latent, **options):
    page = open_page(
        planted.folder / "latents.html",
        address=f"#latent={latent}&base=seed0&with=seed1",
        **options,
    )
    expect(column(page, "seed0", latent)).to_be_visible()
    return page


@pytest.fixture(scope="module")
def latent(planted):
    """A latent of SAE 0 with a partner in both others, and all contexts on both sides."""
    pairs = [planted.pairs[0, other] for other in (1, 2)]
    partners = [pair["decoder.partner"] for pair in pairs]
    full = [np.diff(contexts["context_offsets"].astype(int)) == 30 for contexts in planted.contexts]
    agree = [pair["decoder.partner"] == pair["encoder.partner"] for pair in pairs]
    good = full[0] & full[1][partners[0]] & agree[0] & agree[1] & (partners[1] >= 0)
    good &= pairs[0]["decoder.cosine"] > 0.7
    return int(np.flatnonzero(good)[3])


def seen(text):
    return text.translate(PICTURES)


def planted_lines(planted, sae, latent):
    """Return [(text, [(token, activation)])] of the latent's contexts."""
    contexts, tokens = planted.contexts[sae], planted.corpus.tokens
    first, last = contexts["context_offsets"][latent : latent + 2].astype(int)
    lines = []
    for c in range(first, last):
        position = int(contexts["position"][c])
        window = tokens[
            position - int(contexts["before"][c]) : position + int(contexts["after"][c]) + 1
        ]
        words = [planted.corpus.words[token] for token in window]
        fires = slice(*contexts["fire_offsets"][c : c + 2].astype(int))
        marks = [
            (words[place].decode(errors="replace"), level / 255 * float(contexts["peak"][c]))
            for place, level in zip(
                contexts["fire_place"][fires],
                contexts["fire_level"][fires].astype(float),
                strict=True,
            )
        ]
        lines.append((b"".join(words).decode(errors="replace"), marks))
    return lines


def test_contexts_and_their_highlights_are_the_planted_ones(open_page, planted, latent):
    page = open_latent(open_page, planted, latent)
    partner = int(planted.pairs[0, 1]["decoder.partner"][latent])
    whole = 0
    for sae, of in ((0, latent), (1, partner)):
        article = column(page, f"seed{sae}", of)
        expect(article.locator("mark.peak")).to_have_count(30)
        shown = article.evaluate(LINES)
        expected = planted_lines(planted, sae, of)
        for (text, marks), (planted_text, fired) in zip(shown, expected, strict=True):
            assert text == seen(planted_text)
            if "\ufffd" in planted_text or "" in [word for word, _ in fired]:
                continue  # a mark may cover two tokens here
            split = any(word != seen(word) or not word.isascii() for word, _ in fired)
            if split or not planted_text.isascii():
                continue
            whole += 1
            assert [word for word, _ in marks] == [word for word, _ in fired]
            told = [float(title.replace(",", "")) for _, title in marks]
            np.testing.assert_allclose(told, [value for _, value in fired], rtol=6e-3)
    assert whole > 20


def test_matches_are_told_for_every_other_sae(open_page, planted, latent):
    page = open_latent(open_page, planted, latent)
    strip = page.get_by_role("list", name="Counterparts in the other SAEs")
    for other in (1, 2):
        name = planted.manifest["saes"][other]["name"]
        pair = planted.pairs[0, other]
        partner = pair["decoder.partner"][latent]
        card = strip.get_by_role("button").filter(
            has=page.get_by_text(f"{name} \u00b7 {partner}", exact=True)
        )
        for side in SIDES:
            expect(card).to_contain_text(
                f"{pair[f'{side}.cosine'][latent]:.3f}".replace("-", "\u2212")
            )
        card.click()
        expect(column(page, name, partner)).to_be_visible()
        rows = column(page, "seed0", latent).get_by_role("row")
        for side in SIDES:
            cells = rows.filter(has_text=side).get_by_role("cell").all_inner_texts()
            cosine, lead, price = (
                float(pair[f"{side}.{name}"][latent]) for name in ("cosine", "lead", "price")
            )
            numbers = [cell.replace("\u2212", "-") for cell in cells]
            assert int(numbers[0]) == partner
            assert float(numbers[1]) == pytest.approx(cosine, abs=6e-4)
            assert float(numbers[2]) == pytest.approx(lead, abs=6e-4)
            prices = [float(one) for one in numbers[3].split("+")]
            assert prices == pytest.approx([price, cosine - price], abs=6e-4)
        nearest = pair["decoder.nearest"][latent]
        expect(column(page, "seed0", latent)).to_contain_text(
            re.compile(rf"[Nn]earest.*\b{nearest}\b")
        )


def test_a_partner_opens_in_turn(open_page, planted, latent):
    page = open_latent(open_page, planted, latent)
    partner = int(planted.pairs[0, 1]["decoder.partner"][latent])
    back = turned(planted.pairs[0, 1])
    column(page, "seed0", latent).get_by_role("link", name=str(partner), exact=True).first.click()
    expect(page).to_have_url(re.compile(rf"base=seed1.*latent={partner}\b"))
    expect(column(page, "seed1", partner)).to_contain_text(f"{back['decoder.cosine'][partner]:.3f}")
    page.go_back()
    expect(page).to_have_url(re.compile(rf"base=seed0.*latent={latent}\b"))
    expect(column(page, "seed0", latent)).to_be_visible()


def test_a_latent_that_never_fired_says_so(open_page, planted):
    silent = int(np.flatnonzero(planted.contexts[0]["count"] == 0)[0])
    page = open_latent(open_page, planted, silent)
    expect(column(page, "seed0", silent)).to_contain_text("never fired")
    assert column(page, "seed0", silent).locator(".context").count() == 0


def test_promoted_tokens_are_the_planted_ones(open_page, planted, latent):
    page = open_latent(open_page, planted, latent)
    article = column(page, "seed0", latent)
    expect(article.locator(".lens li").first).to_be_visible()
    shown = article.locator(".lens").first.locator("li").all_inner_texts()
    tokens = planted.contexts[0]["top_tokens"][latent]
    words = [planted.corpus.words[token].decode(errors="replace") for token in tokens]
    assert [text.removeprefix("\u2423").strip() for text in shown] == [
        seen(w).strip() for w in words
    ]
