"""Figures of series, from folders of matches and from tables, read back from their CSV files."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching.criteria.overlap import CRITERIA
from twinsae.matching.criteria.series import MEASURES
from twinsae.matching.figures import draw
from twinsae.matching.figures.from_series import means
from twinsae.matching.figures.series_figures import SERIES_FIGURES
from twinsae.matching.series import SERIES_FORMAT

FACTORS = ("model", "hookpoint", "layer", "position", "architecture", "num_latents", "k", "d_in",
           "tokens")  # fmt: skip


def row(match: str, share: float, **factors: object) -> dict[str, object]:
    """One match, of which every measure is ``share``, except for "equal", which is half of it."""
    values = dict.fromkeys(FACTORS) | {"model": "m", "layer": 3, "position": "mlp"} | factors
    measures = dict.fromkeys(MEASURES, share) | {"equal": share / 2}
    return {
        "match": match, "a": "a", "b": "b", **values, "threshold": 0.7, "certified": True,
        "live_latents": 5, **measures,
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(rows: list[dict[str, object]], format_name: str = SERIES_FORMAT) -> Path:
        (tmp_path / "series.json").write_text(json.dumps({"format": format_name, "rows": rows}))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("name", "factor"), [("size", "num_latents"), ("k", "k"), ("tokens", "tokens")]
)
def test_points_are_means_over_the_matches_of_a_value(write, read, name, factor):
    rows = [
        row("x", 0.5, **{factor: 4096}),
        row("y", 0.3, **{factor: 32}),
        row("z", 0.25, **{factor: 4096}),
        row("across", 0.9, **{factor: "32|4096"}),
    ]
    folder = write(rows)
    draw(f"by-{name}", folder)
    found = read(folder / f"figures/by-{name}.csv")
    assert found[factor] == [32, 4096]
    assert found["matches"] == [1, 2]
    assert found["and"] == [0.3, 0.375]
    assert (found["equal_min"], found["equal_max"]) == ([0.15, 0.125], [0.15, 0.25])
    svg = (folder / f"figures/by-{name}.svg").read_text()
    assert "Fraction of latents (cosine &gt; 0.7, of all latents)" in svg
    assert f"left out, as their SAEs differ in {factor}: 1 matches" in svg
    draw(f"cosine-by-{name}", folder)
    found = read(folder / f"figures/cosine-by-{name}.csv")
    assert found["encoder_mmcs"] == found["decoder_cosine"] == [0.3, 0.375]


@pytest.mark.parametrize(
    ("name", "factor", "hue"),
    [
        ("by-layer", "layer", "num_latents"),
        ("by-model", "model", "position"),
        ("by-site", "num_latents", "position"),
    ],
)
def test_bars_are_grouped_and_coloured(write, read, name, factor, hue):
    values = {"layer": [0, 11], "model": ["GPT-2", "Pythia"], "num_latents": [768, 4096],
              "position": ["mlp", "residual"]}  # fmt: skip
    combinations = list(product(values[factor], values[hue]))
    rows = [
        row(f"m{n}", n / 8, **{factor: one, hue: other})
        for n, (one, other) in enumerate(combinations)
    ]
    folder = write(rows[::-1])
    draw(name, folder, show="equal")
    found = read(folder / f"figures/{name}.csv")
    assert list(zip(found[factor], found[hue], strict=True)) == combinations
    assert found["equal"] == [0, 1 / 16, 2 / 16, 3 / 16]


def test_architectures_have_one_colour_and_mixing_is_said(write, read):
    rows = [row("x", 0.8, architecture="relu", k=1), row("y", 0.6, architecture="relu", k=2),
            row("z", 0.7, architecture="topk", k=2)]  # fmt: skip
    folder = write(rows)
    draw("by-architecture", folder, show="live_decoder")
    found = read(folder / "figures/by-architecture.csv")
    assert found["architecture"] == ["relu", "topk"]
    np.testing.assert_allclose(found["live_decoder"], [0.7, 0.7])
    svg = (folder / "figures/by-architecture.svg").read_text()
    assert "means mix k" in svg
    assert "(decoder, cosine &gt; 0.7, of live latents)" in svg


def test_a_position_that_is_not_known_colours_nothing(write, read):
    folder = write([row("x", 0.8, position=None), row("y", 0.6, position=None)])
    draw("by-model", folder, show="decoder")
    assert "position" not in read(folder / "figures/by-model.csv")


def test_a_series_is_made_from_matches_below_a_folder(matches, tmp_path, read, shared_latents):
    draw("by-size", matches, tmp_path)
    found = read(tmp_path / "by-size.csv")
    shares = [count / 20 for count in shared_latents.values()]
    assert (found["num_latents"], found["matches"]) == ([20], [3])
    assert found["and"][0] == pytest.approx(np.mean(shares))
    assert (found["and_min"][0], found["and_max"][0]) == (min(shares), max(shares))
    told = json.loads((tmp_path / "by-size.json").read_text())
    assert [Path(entry["path"]).name for entry in told["from"]] == ["seeds.json"]


def test_a_series_of_folders_names_their_matches(matches, tmp_path, read):
    for name in ("seed0--seed1", "seed1--seed2"):
        shutil.copytree(matches / name, tmp_path / "runs" / name)
    draw("by-size", tmp_path / "runs")
    folder = tmp_path / "runs/figures"
    assert read(folder / "by-size.csv")["matches"] == [2]
    told = json.loads((folder / "by-size.json").read_text())
    assert [Path(entry["path"]).parent.name for entry in told["from"]] == [
        "seed0--seed1", "seed1--seed2",
    ]  # fmt: skip


def test_a_side_that_was_not_matched_has_no_height(write, read):
    rows = [row("x", 0.8, num_latents=10) | {"encoder_cosine": None, "encoder_mmcs": None}]
    folder = write(rows)
    draw("cosine-by-size", folder)
    found = read(folder / "figures/cosine-by-size.csv")
    assert found["decoder_cosine"] == [0.8]
    assert np.isnan(found["encoder_cosine"][0])


def test_what_is_missing_is_said(write, tmp_path):
    folder = write([row("runs/x", 0.5, k=None), row("runs/y", 0.5, k=3)])
    with pytest.raises(ValueError, match="k is not known of runs/x: tell it with `twinsae series"):
        draw("by-k", folder)
    folder = write([row("runs/x", 0.5, k="many")])
    with pytest.raises(ValueError, match="k: expected a number above 0, got 'many' of runs/x"):
        draw("by-k", folder)
    folder = write([row("runs/x", 0.5, k="3|4")])
    with pytest.raises(ValueError, match="there is no match of two SAEs of one k"):
        draw("by-k", folder)
    with pytest.raises(ValueError, match=r"show: expected one of decoder_cosine, .*, got 'shared'"):
        draw("by-layer", folder, show="shared")
    folder = write([], "twinsae-series/0")
    with pytest.raises(ValueError, match="expected format 'twinsae-series/1', got 'twinsae-series"):
        draw("by-k", folder)
    (tmp_path / "series.json").write_text("[")
    with pytest.raises(ValueError, match="is not valid JSON"):
        draw("by-k", tmp_path)


def test_every_measure_can_be_shown(write):
    folder = write([row("x", 0.5, num_latents=7)])
    assert set(CRITERIA) < set(MEASURES)
    for measure in MEASURES:
        assert len(means([row("x", 0.5)], ["layer"], [measure]).table[measure]) == 1
    drawings = {
        name: SERIES_FIGURES["by-site"](folder, show=name) for name in ("max", "live_equal")
    }
    labels = [drawing.figure.axes[0].get_ylabel() for drawing in drawings.values()]
    assert labels == [
        "Fraction of shared latents\n(max, cosine > 0.7, of all latents)",
        "Fraction of shared latents\n(equal, of live latents)",
    ]
