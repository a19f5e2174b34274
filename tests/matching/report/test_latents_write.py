"""The page's folder as a whole: contexts, text, hostile words, what is missing or was left."""

import re
from pathlib import Path

import numpy as np
import pytest
from twinsae.common.files import sha256
from twinsae.matching import match_files
from twinsae.matching.match_all import match_all
from twinsae.matching.push import split_report
from twinsae.matching.report.latents import write_browser
from twinsae.matching.report.latents.chunks import read_chunk
from twinsae.matching.report.latents.columns import sae_columns

from .planted_matches import (
    TOKENS,
    WORDS,
    plant_contexts,
    plant_corpus,
    plant_firing,
    plant_saes,
)

SIDES = ("decoder", "encoder")
SIZES = (300, 20)  # one more than a chunk of contexts holds
HOSTILE = '</script><img src=x onerror="alert(1)"> & \u2028 é'


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Two SAEs with contexts of one text, matched; SAE 0 alone has the logit lens."""
    folder = tmp_path_factory.mktemp("contexts")
    saes = plant_saes(folder, SIZES)
    corpus = plant_corpus(folder / "store")
    contexts = [
        plant_contexts(path, folder / "store", lens=not number, seed=number)
        for number, path in enumerate(saes)
    ]
    match_files(*saes, SIDES, folder / "match")
    scores = {"seed1": {HOSTILE: np.linspace(0, 1, 20), "fuzz": np.full(20, np.nan)}}
    texts = {"seed0": ["", HOSTILE, *["x"] * 298]}
    out = folder / "report"
    write_browser(folder / "match", out, scores=scores, explanations=texts, title=HOSTILE)
    return folder, corpus, contexts


def chunks(folder: Path) -> dict[str, bytes]:
    data = folder / "report" / "data"
    return {str(file.relative_to(data)): file.read_bytes() for file in data.rglob("*.js")}


def test_every_file_of_the_browser_would_be_pushed_to_the_hub(planted):
    folder, *_ = planted
    files, left_out = split_report(folder / "report")
    assert {"latents.html", "static/app.js", "data/manifest.js", "data/corpus-0.js"} <= set(files)
    assert left_out == {}


def test_each_context_is_read_back_from_its_chunk(planted):
    folder, _, contexts = planted
    data = folder / "report" / "data"
    saes = read_chunk(data, "manifest").facts["saes"]
    for number, (expected, size) in enumerate(zip(contexts, SIZES, strict=True)):
        described = {"chunks": -(-size // 256), "per_chunk": 256, "tokens": TOKENS}
        assert saes[number]["contexts"] == {**described, "logit_lens": expected.lens is not None}
        for latent in range(size):
            arrays = read_chunk(data, f"sae{number}/contexts-{latent // 256}").arrays
            place = latent % 256
            own = slice(*arrays["context_offsets"][place : place + 2])
            mine = slice(*expected.context_offsets[latent : latent + 2])
            for name in ("position", "peak", "kind", "before", "after"):
                np.testing.assert_array_equal(arrays[name][own], getattr(expected, name)[mine])
            fires = [arrays["fire_offsets"][own.start], arrays["fire_offsets"][own.stop]]
            wanted = slice(expected.fire_offsets[mine.start], expected.fire_offsets[mine.stop])
            for name in ("fire_place", "fire_level"):
                found = arrays[name][slice(*fires)]
                np.testing.assert_array_equal(found, getattr(expected, name)[wanted])
            for name in ("count", "histogram", "histogram_end"):
                np.testing.assert_array_equal(arrays[name][place], getattr(expected, name)[latent])
            if expected.lens is None:
                assert "top_tokens" not in arrays
            else:
                for name, array in expected.lens._asdict().items():
                    np.testing.assert_array_equal(arrays[name][place], array[latent])


def test_the_text_and_the_vocabulary_are_whole(planted):
    folder, corpus, _ = planted
    data = folder / "report" / "data"
    told = read_chunk(data, "manifest").facts["corpus"]
    assert (told["tokens"], told["per_chunk"], told["chunks"]) == (TOKENS, 32_768, 2)
    assert told["sha256"] == sha256(folder / "store" / "corpus.npz")
    parts = [read_chunk(data, f"corpus-{number}").arrays["tokens"] for number in range(2)]
    assert len(parts[0]) == 32_768
    np.testing.assert_array_equal(np.concatenate(parts), corpus.tokens)
    words = read_chunk(data, "vocabulary").arrays
    found = [words["bytes"][a:b].tobytes() for a, b in zip(*offsets(words), strict=True)]
    assert tuple(found) == WORDS


def offsets(arrays):
    return arrays["offsets"][:-1], arrays["offsets"][1:]


def test_columns_have_the_peak_token_firing_by_contexts_and_scores(planted):
    folder, corpus, contexts = planted
    for number, expected in enumerate(contexts):
        arrays = read_chunk(folder / "report" / "data", f"sae{number}/columns").arrays
        for latent, begin in enumerate(expected.context_offsets[:-1]):
            has = begin < expected.context_offsets[latent + 1]
            token = corpus.tokens[expected.position[begin]] if has else -1
            assert arrays["peak_token"][latent] == token
        assert arrays["peak_token"][0] == -1  # it never fires
        per_million = expected.count * 1e6 / TOKENS
        np.testing.assert_allclose(arrays["fires_per_million"], per_million, rtol=1e-6)
        if expected.lens is not None:
            promoted = expected.lens.top_tokens[:, :3]
            np.testing.assert_array_equal(arrays["first_tokens"], promoted)
    np.testing.assert_allclose(arrays[f"score.{HOSTILE}"], np.linspace(0, 1, 20), rtol=1e-6)
    assert np.isnan(arrays["score.fuzz"]).all()


def test_explanations_are_bytes(planted):
    folder, *_ = planted
    data = folder / "report" / "data"
    saes = read_chunk(data, "manifest").facts["saes"]
    assert [sae["explanations"] for sae in saes] == [True, False]
    arrays = read_chunk(data, "sae0/text").arrays
    texts = [arrays["bytes"][a:b].tobytes().decode() for a, b in zip(*offsets(arrays), strict=True)]
    assert texts == ["", HOSTILE, *["x"] * 298]


def test_no_file_holds_markup_of_others(planted):
    folder, *_ = planted
    for name, content in chunks(folder).items():
        assert re.fullmatch(rb'twinsae\("[a-z0-9/-]+","[A-Za-z0-9+/=]*"\)\n', content), name
    page = (folder / "report" / "latents.html").read_text()
    scripts = re.findall(r"<script\b[^>]*>(.*?)</script>", page, re.DOTALL)
    assert scripts == [""] * page.count("<script")
    assert page.count("</script") == page.count("<script") > 3
    assert "<img" not in page
    assert "&lt;/script&gt;" in page


def test_the_page_loads_nothing_from_elsewhere(planted):
    folder, *_ = planted
    page = (folder / "report" / "latents.html").read_text()
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in page
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "data/pair-0-1.js" in loaded
    for path in loaded:
        assert (folder / "report" / path).is_file(), path


def test_the_same_data_gives_the_same_bytes(planted, tmp_path):
    folder, *_ = planted
    for name in ("first", "second"):
        write_browser(folder / "match", tmp_path / name / "report")
    assert chunks(tmp_path / "first") == chunks(tmp_path / "second")


def test_without_contexts_the_page_says_by_which_command_they_come(tmp_path):
    saes = plant_saes(tmp_path, (12, 12))
    match_files(*saes, SIDES, tmp_path / "match")
    out = tmp_path / "report"
    (out / "data" / "sae7").mkdir(parents=True)
    (out / "data" / "sae7" / "columns.js").write_text("left from before")
    (out / "notes.txt").write_text("mine")
    write_browser(tmp_path / "match", out)
    assert sorted(chunks(tmp_path)) == [
        "manifest.js", "pair-0-1.js", "sae0/columns.js", "sae1/columns.js"
    ]  # fmt: skip
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == [
        "data", "latents.html", "notes.txt", "static"
    ]  # fmt: skip
    facts = read_chunk(out / "data", "manifest").facts
    assert facts["corpus"] is None
    assert facts["vocabulary"] is False
    commands = {each["what"]: each["command"] for each in facts["missing"]}
    assert set(commands) == {
        "contexts of seed0", "contexts of seed1", "firing of seed0", "firing of seed1"
    }  # fmt: skip
    assert commands["contexts of seed0"].startswith("twinsae contexts ")
    assert commands["contexts of seed0"].split()[2].endswith("/seed0")
    assert not commands["contexts of seed0"].split()[2].startswith("/")


def test_contexts_of_another_text_are_left_out(tmp_path):
    saes = plant_saes(tmp_path, (12, 12))
    plant_corpus(tmp_path / "store")
    for path in saes:
        plant_contexts(path, tmp_path / "store", lens=False)
    (tmp_path / "store" / "corpus.npz").unlink()
    match_files(*saes, SIDES, tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    facts = read_chunk(tmp_path / "report" / "data", "manifest").facts
    assert [sae["contexts"] for sae in facts["saes"]] == [None, None]
    assert facts["corpus"] is None


@pytest.mark.parametrize(("saes", "has_mask"), [(32, True), (33, False)])
def test_beyond_32_saes_there_is_no_mask(saes, has_mask):
    rng = np.random.default_rng(0)
    shared = rng.random((saes, 5)) < 0.5
    shared[31, 0] = True
    arrays = sae_columns({}, None, shared, {}, None, {}).arrays
    np.testing.assert_array_equal(arrays["seeds"], shared.sum(axis=0))
    assert ("shared_with" in arrays) == has_mask
    if has_mask:
        bits = [[int(mask) >> place & 1 for mask in arrays["shared_with"]] for place in range(32)]
        np.testing.assert_array_equal(bits, shared)


def test_names_may_be_markup(tmp_path):
    names = ["<script>alert(1)", '<b onclick="x">&']
    match_all(plant_saes(tmp_path, (6, 6)), tmp_path / "matches", names=names)
    page = write_browser(tmp_path / "matches", tmp_path / "report").read_text()
    facts = read_chunk(tmp_path / "report" / "data", "manifest").facts
    assert [sae["name"] for sae in facts["saes"]] == names
    assert "<script>" not in page
    assert "<b onclick" not in page


def test_an_sae_that_has_changed_is_named(tmp_path):
    saes = plant_saes(tmp_path, (6, 6))
    match_files(*saes, SIDES, tmp_path / "match")
    plant_saes(tmp_path, (6, 6), seed=1)
    with pytest.raises(ValueError, match="seed0 has changed since it was matched as a"):
        write_browser(tmp_path / "match", tmp_path / "report")
    assert not (tmp_path / "report" / "data").exists()


def test_counts_of_other_weights_are_refused(tmp_path):
    saes = plant_saes(tmp_path, (6, 6))
    match_files(*saes, SIDES, tmp_path / "match")
    plant_firing(saes[0])
    file = saes[0] / "firing.json"
    file.write_text(
        re.sub(r'"sha256": "[0-9a-f]{64}"\s*}', f'"sha256": "{"0" * 64}"}}', file.read_text())
    )
    with pytest.raises(ValueError, match="firing"):
        write_browser(tmp_path / "match", tmp_path / "report")
