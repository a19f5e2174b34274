"""The chunks of pairs and columns against dense cosines and the matchings' own files."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching import Matching, match_files
from twinsae.matching.certainty import certainty_files
from twinsae.matching.match_all import match_all
from twinsae.matching.report.latents import write_browser
from twinsae.matching.report.latents.chunks import read_chunk
from twinsae.matching.stable import stable_files

from .planted_matches import plant_firing, plant_saes, rows_of

TAU = 0.7
SIDES = ("decoder", "encoder")


@pytest.fixture(scope="module", params=[(30, 30, 30), (25, 31, 20)], ids=["equal", "unequal"])
def written(request, tmp_path_factory):
    """SAEs, their matches, and the data of the page."""
    folder = tmp_path_factory.mktemp("browser")
    saes = plant_saes(folder, request.param)
    match_all(saes, folder / "matches")
    write_browser(folder / "matches", folder / "matches" / "report")
    return saes, folder / "matches"


def cosines(saes, a, b, side):
    first, second = (rows_of(saes[place])[side].astype(np.float64) for place in (a, b))
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    return first @ second.T


def laid_out(match: Matching):
    partner = np.full(len(match.row_max), -1)
    cosine = np.full(len(match.row_max), np.nan)
    partner[match.rows], cosine[match.rows] = match.cols, match.cosine
    return partner, cosine


def check_best(arrays, names, similarity, partner):
    """Check best, best cosine and lead of each row, where two bests are not within rounding."""
    best, best_cosine, lead = (arrays[name] for name in names)
    np.testing.assert_array_equal(best, similarity.argmax(axis=1))
    np.testing.assert_allclose(best_cosine, similarity.max(axis=1), atol=1e-6)
    for row, mate in enumerate(partner):
        if mate < 0:
            assert np.isnan(lead[row])
        else:
            others = np.delete(similarity[row], mate)
            assert lead[row] == pytest.approx(similarity[row, mate] - others.max(), abs=1.3e-4)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_pair_has_what_dense_cosines_say(written, pair):
    saes, matches = written
    a, b = pair
    arrays = read_chunk(matches / "report" / "data", f"pair-{a}-{b}").arrays
    shared = {0: True, 1: True}
    for side in SIDES:
        match = Matching.load(matches / f"seed{a}--seed{b}" / f"{side}.npz")
        similarity = cosines(saes, a, b, side)
        own = {name: arrays[f"{side}.{name}"] for name in ("partner", "cosine", "price")}
        for found, expected in zip((own["partner"], own["cosine"]), laid_out(match), strict=True):
            np.testing.assert_array_equal(found, expected.astype(found.dtype))
        np.testing.assert_allclose(own["price"], match.row_price, atol=1.3e-4)
        names = [f"{side}.{name}" for name in ("best", "best_cosine", "lead")]
        check_best(arrays, names, similarity, own["partner"])
        turned, turned_cosine = laid_out(match.swapped())
        names = [f"{side}.back_{name}" for name in ("best", "best_cosine", "lead")]
        check_best(arrays, names, similarity.T, turned)
        both = (laid_out(match)[1], turned_cosine)
        for back, cosine in enumerate(both):
            shared[back] = shared[back] & (np.nan_to_num(cosine, nan=-1) > TAU)
    similarity = cosines(saes, a, b, "decoder")
    for back, taken, seen in (("", shared[1], similarity), ("back_", shared[0], similarity.T)):
        free = np.flatnonzero(~taken)
        assert 0 < len(free) < len(taken)
        np.testing.assert_array_equal(
            arrays[f"decoder.{back}nearest"], free[seen[:, free].argmax(axis=1)]
        )
        found = arrays[f"decoder.{back}nearest_cosine"]
        np.testing.assert_allclose(found, seen[:, free].max(axis=1), atol=1.3e-4)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_what_the_page_counts_is_what_the_summary_says(written, pair):
    _, matches = written
    a, b = pair
    arrays = read_chunk(matches / "report" / "data", f"pair-{a}-{b}").arrays
    summary = json.loads((matches / f"seed{a}--seed{b}" / "summary.json").read_text())
    # As JavaScript does: a float32 becomes a double, then is compared.
    cosine = {side: arrays[f"{side}.cosine"].astype(np.float64) for side in SIDES}
    best = {side: arrays[f"{side}.best_cosine"].astype(np.float64) for side in SIDES}
    both = (cosine["decoder"] > TAU) & (cosine["encoder"] > TAU)
    partner = [arrays[f"{side}.partner"] for side in SIDES]
    equal = (partner[0] == partner[1]) & (partner[0] >= 0)
    masks = {
        "and": both,
        "and_equal": both & equal,
        "decoder": cosine["decoder"] > TAU,
        "encoder": cosine["encoder"] > TAU,
        "mean": (cosine["decoder"] + cosine["encoder"]) / 2 > TAU,
        "max": (best["decoder"] > TAU) & (best["encoder"] > TAU),
        "max_decoder": best["decoder"] > TAU,
        "max_encoder": best["encoder"] > TAU,
        "equal": equal,
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    assert counts == summary["overlap"]["counts"]
    listed = read_chunk(matches / "report" / "data", "manifest").facts["pairs"]
    own = next(each for each in listed if (each["a"], each["b"]) == pair)
    assert {name: each["count"] for name, each in own["counts"].items()} == counts
    assert {name: each["share"] for name, each in own["counts"].items()} == summary["overlap"][
        "criteria"
    ]


def test_columns_say_which_saes_share_a_latent(written):
    saes, matches = written
    data = matches / "report" / "data"
    expected = [np.zeros((3, len(rows_of(path)["decoder"])), bool) for path in saes]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        sides = [Matching.load(matches / f"seed{a}--seed{b}" / f"{side}.npz") for side in SIDES]
        for place, other, seen in ((a, b, sides), (b, a, [each.swapped() for each in sides])):
            found = [np.nan_to_num(laid_out(match)[1], nan=-1) > TAU for match in seen]
            expected[place][other] = found[0] & found[1]
    for number, shared in enumerate(expected):
        arrays = read_chunk(data, f"sae{number}/columns").arrays
        assert shared.any()
        np.testing.assert_array_equal(arrays["seeds"], shared.sum(axis=0))
        np.testing.assert_array_equal(arrays["shared_with"], (shared.T * [1, 2, 4]).sum(axis=1))
        rows = rows_of(saes[number])
        norms = np.prod([np.linalg.norm(rows[side], axis=1) for side in SIDES], axis=0)
        own = (rows["decoder"] * rows["encoder"]).sum(axis=1) / norms
        np.testing.assert_allclose(arrays["own_cosine"], own, atol=1e-6)
        assert "fires_per_million" not in arrays


def test_one_sae_may_lack_firing(tmp_path):
    saes = plant_saes(tmp_path, (12, 12))
    firing = plant_firing(saes[1])
    match_files(*saes, SIDES, tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    data = tmp_path / "report" / "data"
    manifest = read_chunk(data, "manifest").facts
    assert [sae["firing_tokens"] for sae in manifest["saes"]] == [None, 1000]
    assert "firing of seed0" in [each["what"] for each in manifest["missing"]]
    assert "firing of seed1" not in [each["what"] for each in manifest["missing"]]
    arrays = read_chunk(data, "sae1/columns").arrays
    np.testing.assert_allclose(arrays["fires_per_million"], firing.count * 1000.0, rtol=1e-6)
    np.testing.assert_allclose(arrays["max_active"], firing.max_active, rtol=1e-6)
    np.testing.assert_allclose(arrays["mean_active"], firing.mean_active, rtol=1e-6)
    assert np.isnan(arrays["mean_active"][0])
    assert "fires_per_million" not in read_chunk(data, "sae0/columns").arrays


@pytest.mark.parametrize("side", SIDES)
def test_a_match_of_one_side_counts_by_that_side(tmp_path, side):
    saes = plant_saes(tmp_path, (12, 9))
    match_files(*saes, (side,), tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    data = tmp_path / "report" / "data"
    arrays = read_chunk(data, "pair-0-1").arrays
    assert {name.partition(".")[0] for name in arrays} == {side}
    _, cosine = laid_out(Matching.load(tmp_path / "match" / f"{side}.npz"))
    seeds = read_chunk(data, "sae0/columns").arrays["seeds"]
    np.testing.assert_array_equal(seeds, np.nan_to_num(cosine, nan=-1) > TAU)
    assert read_chunk(data, "manifest").facts["pairs"][0]["sides"] == [side]


def test_certainty_is_shown_until_the_match_is_made_anew(tmp_path):
    saes = plant_saes(tmp_path, (12, 9))
    match_files(*saes, SIDES, tmp_path / "match")
    certainty_files(tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    arrays = read_chunk(tmp_path / "report" / "data", "pair-0-1").arrays
    with np.load(tmp_path / "match" / "encoder-certainty.npz") as bounds:
        for name, column in (("sure_low", "lower"), ("sure_high", "upper")):
            whole = np.full(12, np.nan)
            whole[bounds["latent_a"]] = bounds[column]
            np.testing.assert_allclose(arrays[f"encoder.{name}"], whole, atol=1.3e-4)
    described = tmp_path / "match" / "decoder-certainty.json"
    facts = json.loads(described.read_text())
    facts["matchings"]["decoder"] = "0" * 64
    described.write_text(json.dumps(facts))
    write_browser(tmp_path / "match", tmp_path / "report")
    arrays = read_chunk(tmp_path / "report" / "data", "pair-0-1").arrays
    assert "decoder.sure_low" not in arrays
    assert "encoder.sure_low" in arrays


def test_a_match_by_activations_is_shown_if_it_is_of_the_same_saes(tmp_path):
    saes = plant_saes(tmp_path, (12, 9))
    summary = match_files(*saes, SIDES, tmp_path / "match")
    encoder = Matching.load(tmp_path / "match" / "encoder.npz")
    encoder.save(tmp_path / "match" / "activations.npz")
    for digest, shown in ((summary["inputs"]["b"]["sha256"], True), ("0" * 64, False)):
        inputs = {"a": summary["inputs"]["a"], "b": {"sha256": digest}}
        described = {"format": "twinsae-match-activations/1", "inputs": inputs}
        (tmp_path / "match" / "activations.json").write_text(json.dumps(described))
        write_browser(tmp_path / "match", tmp_path / "report")
        arrays = read_chunk(tmp_path / "report" / "data", "pair-0-1").arrays
        assert ("activations.partner" in arrays) == shown
        if shown:
            partner, cosine = laid_out(encoder)
            np.testing.assert_array_equal(arrays["activations.partner"], partner)
            expected = cosine.astype(np.float32)
            np.testing.assert_array_equal(arrays["activations.cosine"], expected)


def test_a_latent_comes_back_as_stable_latents_do(tmp_path):
    match_all(plant_saes(tmp_path, (12, 9, 10)), tmp_path / "matches")
    write_browser(tmp_path / "matches", tmp_path / "report")
    stable_files(tmp_path / "matches")
    with np.load(tmp_path / "matches" / "stable.npz") as stable:
        assert stable["share"].any()
        for number in range(3):
            found = read_chunk(tmp_path / "report" / "data", f"sae{number}/columns").arrays
            expected = stable["share"][stable["seed"] == number]
            np.testing.assert_allclose(found["reappearance"], expected, rtol=1e-6)


def test_without_every_two_matched_no_share_is_told(tmp_path):
    match_all(plant_saes(tmp_path, (6, 6, 6)), tmp_path / "matches", pairs="chain")
    write_browser(tmp_path / "matches", tmp_path / "report")
    assert "reappearance" not in read_chunk(tmp_path / "report" / "data", "sae0/columns").arrays


def test_a_second_report_scans_nothing_again(written):
    _, matches = written
    told = []
    write_browser(matches, matches / "report", progress=lambda phase, *_: told.append(phase))
    assert set(told) == {"browser"}


def test_matches_of_plain_matrices_are_shown_too(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((5, 3)).astype(np.float32))
    match_files(tmp_path / "a.npy", tmp_path / "b.npy", ("decoder",), tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    sae, _ = read_chunk(tmp_path / "report" / "data", "manifest").facts["saes"]
    assert (sae["num_latents"], sae["d_in"], sae["k"]) == (5, 3, None)


def test_a_latent_alone_has_no_lead_and_no_other(tmp_path: Path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.ones((1, 3), np.float32))
    match_files(tmp_path / "a.npy", tmp_path / "b.npy", ("decoder",), tmp_path / "match")
    write_browser(tmp_path / "match", tmp_path / "report")
    arrays = read_chunk(tmp_path / "report" / "data", "pair-0-1").arrays
    assert arrays["decoder.partner"].tolist() == [0]
    assert np.isnan(arrays["decoder.lead"][0])
    assert arrays["decoder.nearest"].tolist() == [-1]
    assert np.isnan(arrays["decoder.nearest_cosine"][0])
