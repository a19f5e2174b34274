"""Figures of matched cosines, from planted tables and from folders."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching import Matching, match_files
from twinsae.matching.figures import draw
from twinsae.matching.figures.histograms import bin_edges, matched_cosine, max_cosine
from twinsae.matching.figures.thresholds import thresholds

SIDES = ("decoder", "encoder")


def test_thresholds_are_means_over_pairs_with_their_extremes():
    taus = np.array([0.0, 0.5, 1.0])
    table = {
        "pair": np.repeat(["x", "y"], 3),
        "threshold": np.tile(taus, 2),
        "max": np.array([1, 0.8, 0, 1, 0.6, 0]),
        "and": np.array([1, 0.5, 0, 0.9, 0.3, 0]),
        "and_equal": np.array([0.7, 0.5, 0, 0.6, 0.3, 0]),
    }
    drawing = thresholds(table, threshold=0.7)
    np.testing.assert_allclose(drawing.table["and"], [0.95, 0.4, 0])
    np.testing.assert_allclose(drawing.table["and_lowest"], [0.9, 0.3, 0])
    np.testing.assert_allclose(drawing.table["max_highest"], [1, 0.8, 0])
    (axes,) = drawing.figure.axes
    lines = {line.get_gid(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(
        lines["line: and_equal"], np.column_stack((taus, [0.65, 0.4, 0])), atol=1e-12
    )
    assert "mean of 2 pairs" in axes.get_ylabel()
    single = thresholds({name: column[:3] for name, column in table.items()}, threshold=0.7)
    assert list(single.table) == ["threshold", "max", "and", "and_equal"]
    with pytest.raises(ValueError, match="lacks and_equal, which need both sides"):
        thresholds({k: v for k, v in table.items() if k != "and_equal"}, threshold=0.7)


def test_max_cosine_counts_every_latent_once():
    table = {
        "decoder_max": np.array([-0.03, 0.0, 0.5, 0.99, 1.0, 1 + 1e-8]),
        "encoder_max": np.array([0.1, 0.1, 0.1, 0.2, 0.3, 0.99]),
    }
    drawing = max_cosine(table, chance_floor=0.2)
    found = drawing.table
    assert len(found["from"]) == 20  # 19 of [0, 1] and one below
    assert found["decoder"].tolist() == [1, 1, *[0] * 8, 1, *[0] * 8, 3]
    assert found["encoder"].sum() == 6
    (axes,) = drawing.figure.axes
    steps = {patch.get_gid(): patch.get_data().values for patch in axes.patches}
    assert steps["steps: encoder"].tolist() == found["encoder"].tolist()
    assert axes.get_ylabel() == "Number of latents (of 6)"


def test_matched_cosine_stacks_same_on_different():
    table = {
        "decoder_cosine": np.array([0.05, 0.97, 0.98, 0.5, np.nan]),
        "encoder_cosine": np.array([0.06, 0.92, 0.51, 0.2, 0.3]),
        "decoder_match": np.array([0, 1, 2, 3, -1]),
        "encoder_match": np.array([0, 1, 3, 2, 4]),
    }
    drawing = matched_cosine(table, threshold=0.7)
    found = drawing.table
    assert found["side"].tolist() == ["decoder"] * 19 + ["encoder"] * 19
    assert found["equal"].tolist() == [1, *[0] * 17, 1, 0, 1, *[0] * 15, 1, 0]
    assert found["different"].sum() == 4
    decoder, _ = drawing.figure.axes
    upper = next(p for p in decoder.patches if p.get_gid() == "stack: Different matches")
    np.testing.assert_array_equal(
        upper.get_data().values, (found["equal"] + found["different"])[:19]
    )
    np.testing.assert_array_equal(upper.get_data().baseline, found["equal"][:19])


def test_bins_hold_all_cosines():
    edges = bin_edges(4, np.array([-0.26, 1.0]), np.empty(0))
    np.testing.assert_allclose(edges, [-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1], atol=2e-6)
    assert bin_edges(4)[0] == 0


def test_alignment_of_all_pairs_is_read_back_from_the_csv(matches, tmp_path, read):
    files = draw("alignment", matches, tmp_path)
    assert [path.name for path in files] == [
        "alignment.svg", "alignment.png", "alignment.csv", "alignment-decoder-cosine-density.csv",
        "alignment-encoder-cosine-density.csv", "alignment.json",
    ]  # fmt: skip
    found = read(tmp_path / "alignment.csv")
    assert found["pair"] == [
        name for name in ("seed0--seed1", "seed0--seed2", "seed1--seed2") for _ in range(20)
    ]
    cosines = np.array([found["decoder_cosine"], found["encoder_cosine"]])
    same = (cosines > 0.999).all(axis=0)
    assert same.reshape(3, 20).sum(axis=1).tolist() == [13, 12, 11]
    assert np.array(found["equal"])[same].all()
    told = json.loads((tmp_path / "alignment.json").read_text())
    assert told["figure"] == "alignment"
    (entry,) = told["from"]
    assert not Path(entry["path"]).is_absolute()
    assert (tmp_path / entry["path"]).resolve() == (matches / "seeds.json").resolve()


def test_the_svg_holds_the_points_that_the_csv_names(matches, tmp_path, read):
    """Sixty places within the main panel, at the CSV's cosines up to one linear map an axis."""
    draw("alignment", matches, tmp_path)
    found = read(tmp_path / "alignment.csv")
    svg = (tmp_path / "alignment.svg").read_text()
    places = []
    for label in ("Different matches", "Same match"):
        group = re.search(rf'<g id="points: {label}">(.*?)</g>\s*</g>', svg, re.DOTALL)
        uses = re.findall(r'<use [^>]*?x="([-\d.]+)" y="([-\d.]+)"', group[1])
        places += [tuple(map(float, use)) for use in uses]
    order = np.argsort(found["equal"], kind="stable")
    assert len(places) == len(order) == 60
    for column, side in enumerate(("decoder_cosine", "encoder_cosine")):
        cosines = np.array(found[side])[order]
        drawn = np.array(places)[:, column]
        slope, offset = np.polyfit(cosines, drawn, 1)
        np.testing.assert_allclose(slope * cosines + offset, drawn, atol=1e-3)
        assert (slope > 0) == (side == "decoder_cosine")  # y grows downwards in an SVG


def test_the_same_numbers_make_the_same_file(matches, tmp_path):
    first = draw("thresholds", matches / "seed0--seed1", tmp_path / "x")
    again = draw("thresholds", matches / "seed0--seed1", tmp_path / "y")
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_pair_has_its_own_figures_folder(matches, tmp_path, read):
    pair = tmp_path / "pair"
    shutil.copytree(matches / "seed0--seed1", pair)
    draw("max-cosine", pair)
    found = read(pair / "figures/max-cosine.csv")
    assert sum(found["decoder"]) == sum(found["encoder"]) == 20
    assert found["decoder"][-1] == 13
    draw("max-vs-matched", pair, side="encoder")
    found = read(pair / "figures/max-vs-matched.csv")
    assert set(found) == {
        "pair", "latent", "encoder_cosine", "encoder_match", "encoder_max", "nearest",
    }  # fmt: skip
    draw("matched-cosine", pair)
    assert sum(read(pair / "figures/matched-cosine.csv")["equal"]) >= 2 * 13


def test_a_larger_sae_has_latents_without_a_match(tmp_path, read):
    rng = np.random.default_rng(0)
    for name, size in (("large", 15), ("small", 11)):
        rows = {side: rng.standard_normal((size, 8)).astype(np.float32) for side in SIDES}
        np.savez(tmp_path / f"{name}.npz", W_dec=rows["decoder"], W_enc=rows["encoder"])
    for a, b, matched in (("large", "small", 11), ("small", "large", 11)):
        pair = tmp_path / f"{a}--{b}"
        files = [tmp_path / f"{name}.npz" for name in (a, b)]
        match_files(*files, list(SIDES), pair, orientation="LD/LD")
        by_side = [Matching.load(pair / f"{side}.npz") for side in SIDES]
        cosines = [dict(zip(m.rows.tolist(), m.cosine.tolist(), strict=True)) for m in by_side]
        both = sorted(cosines[0].keys() & cosines[1].keys())
        draw("alignment", pair)
        found = read(pair / "figures/alignment.csv")
        assert found["latent"] == both
        assert len(both) <= matched
        for name, own in zip(("decoder", "encoder"), cosines, strict=True):
            np.testing.assert_allclose(found[f"{name}_cosine"], [own[n] for n in both])
        draw("max-cosine", pair)
        assert sum(read(pair / "figures/max-cosine.csv")["encoder"]) == len(by_side[0].row_max)
        draw("heat-map", pair)
        assert len(read(pair / "figures/heat-map.csv")["share"]) == 2


def test_what_is_missing_is_said(saes, tmp_path):
    match_files(*saes[:2], ["decoder"], tmp_path / "half")
    draw("max-cosine", tmp_path / "half")
    with pytest.raises(ValueError, match="no matching of the encoders: run `twinsae match --side"):
        draw("alignment", tmp_path / "half")
    with pytest.raises(FileNotFoundError, match=r"no summary\.json or seeds\.json in"):
        draw("alignment", tmp_path)
    with pytest.raises(ValueError, match=r"figure: expected one of alignment, .*, got 'aligned'"):
        draw("aligned", tmp_path)
    (tmp_path / "half/summary.json").write_text('{"format": "twinsae-match/0"}')
    with pytest.raises(
        ValueError, match="expected format 'twinsae-match/1', got 'twinsae-match/0'"
    ):
        draw("alignment", tmp_path / "half")
