"""Scores and explanations from tables and from delphi's results."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching.report.latents.interpretations import read_interpretations

NAN = float("nan")


@pytest.fixture
def matches(tmp_path: Path) -> Path:
    """A match-all folder of two SAEs, as far as these readers look: 5 and 4 latents."""
    folder = tmp_path / "matches"
    (folder / "seed0--seed1").mkdir(parents=True)
    inputs = {
        letter: {"path": f"/runs/layers.3.mlp/seed{place}", "num_latents": num_latents}
        for place, (letter, num_latents) in enumerate((("a", 5), ("b", 4)))
    }
    summary = {"format": "twinsae-match/1", "inputs": inputs}
    (folder / "seed0--seed1" / "summary.json").write_text(json.dumps(summary))
    seeds = {"format": "twinsae-match-all/2", "pairs": [{"a": "seed0", "b": "seed1"}]}
    (folder / "seeds.json").write_text(json.dumps(seeds))
    return folder


@pytest.fixture
def delphi(tmp_path: Path):
    """Write results: {path below the folder: JSON value}."""

    def write(content: dict[str, object]) -> Path:
        folder = tmp_path / "results"
        for name, value in content.items():
            file = folder / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(value))
        return folder

    return write


def table(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "table.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def record(active: bool, prediction: bool | None) -> dict[str, object]:
    return {"activating": active, "prediction": prediction, "correct": active == prediction}


def test_a_table_of_scores_gives_a_column_for_each_sae_that_it_names(matches, tmp_path):
    file = table(
        tmp_path,
        "sae,latent,score,explanation_cosine,note",
        "seed0,3,0.5,,a",
        "seed0,0,,0.25,b",
    )
    found = read_interpretations(matches, scores=file)
    assert list(found.scores) == ["seed0"]
    columns = found.scores["seed0"]
    assert list(columns) == ["score", "explanation_cosine"]
    assert all(column.dtype == np.float32 for column in columns.values())
    np.testing.assert_array_equal(columns["score"], [NAN, NAN, NAN, 0.5, NAN])
    np.testing.assert_array_equal(columns["explanation_cosine"], [0.25, NAN, NAN, NAN, NAN])
    assert found.explanations == {}


def test_seeds_may_be_numbers(matches, tmp_path):
    found = read_interpretations(matches, scores=table(tmp_path, "seed,latent,score", "1,2,0.75"))
    np.testing.assert_array_equal(found.scores["seed1"]["score"], [NAN, NAN, 0.75, NAN])


def test_a_table_of_explanations_keeps_every_letter(matches, tmp_path):
    text = '</script><b onclick="x()">\u2028 é 😀'
    quoted = text.replace('"', '""')
    file = table(tmp_path, "sae,latent,explanation", f'seed1,3,"{quoted}"', "seed0,0,a")
    found = read_interpretations(matches, explanations=((None, file),))
    assert found.explanations == {"seed0": ["a", "", "", "", ""], "seed1": ["", "", "", text]}
    assert found.scores == {}


def test_the_scores_of_delphi_are_balanced_accuracies(matches, delphi):
    folder = delphi(
        {
            "explanations/layers.3.mlp_latent0": "words about <i>Rome</i>",
            "explanations/layers.3.mlp_latent4": "half a pair \ud800",
            # Right of 2 of 3 active texts and of 1 of 2 others; one has no answer.
            "scores/detection/layers.3.mlp_latent0": [
                record(True, True), record(True, True), record(True, False),
                record(False, False), record(False, True), record(False, None),
            ],
            "scores/detection/layers.3.mlp_latent1": [record(True, True), record(False, None)],
            "scores/fuzz/layers.3.mlp_latent2": [],
            "scores/intruder/layers.3.mlp_latent3": [{"correct": True}, {"correct": False}],
            "scores/embedding/layers.3.mlp_latent3": [{"similarity": 0.5}],
            "scores/simulation/layers.3.mlp_latent3": {"ev_correlation_score": 1},
        }
    )  # fmt: skip
    found = read_interpretations(matches, explanations=(("seed0", folder),))
    assert found.explanations == {"seed0": ["words about <i>Rome</i>", "", "", "", "half a pair ?"]}
    columns = found.scores["seed0"]
    assert sorted(columns) == ["detection", "fuzz", "intruder"]
    expected = [(2 / 3 + 1 / 2) / 2, NAN, NAN, NAN, NAN]
    np.testing.assert_allclose(columns["detection"], expected, rtol=1e-6)
    assert np.isnan(columns["fuzz"]).all()
    np.testing.assert_array_equal(columns["intruder"], [NAN, NAN, NAN, 0.5, NAN])


def test_both_places_of_scores_are_merged(matches, delphi, tmp_path):
    folder = delphi({"scores/detection/layers.3.mlp_latent0": [{"correct": True}]})
    scores = table(tmp_path, "sae,latent,score", "seed0,1,0.5")
    found = read_interpretations(matches, scores=scores, explanations=(("seed0", folder),))
    assert list(found.scores["seed0"]) == ["score", "detection"]
    assert found.explanations == {}


def test_of_several_hookpoints_the_one_in_the_path_is_read(matches, delphi):
    folder = delphi(
        {"explanations/layers.3.mlp_latent0": "ours", "explanations/layers.13.mlp_latent0": "no"}
    )
    found = read_interpretations(matches, explanations=(("seed1", folder),))
    assert found.explanations["seed1"][0] == "ours"


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"explanations/layers.3.mlp_latent5": "x"}, "seed0", "0 to 4, but latent 5 is explained"),
        ({"scores/fuzz/layers.3.mlp_latent5": []}, "seed0", "0 to 4, but latent 5 is explained"),
        ({"explanations/layers.3.mlp_latent0": ["x"]}, "seed0", "expected a string, got list"),
        ({"explanations/notes": "x"}, "seed0", "expected a name such as layers.5.mlp_latent12.txt"),
        ({"other/notes": "x"}, "seed0", "has no results of delphi"),
        ({"explanations/layers.3.mlp_latent0": "x"}, None, "one of seed0, seed1, got no name"),
        ({"explanations/layers.3.mlp_latent0": "x"}, "seed7", "one of seed0, seed1, got seed7"),
        (
            {"explanations/layers.1.mlp_latent0": "x", "explanations/layers.2.mlp_latent0": "x"},
            "seed0",
            "results of layers.1.mlp, layers.2.mlp: expected one of them in the SAE's path",
        ),
    ],
)  # fmt: skip
def test_other_results_are_refused_in_one_line(matches, delphi, content, name, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_interpretations(matches, explanations=((name, delphi(content)),))
    assert "\n" not in str(raised.value)


def test_damaged_json_is_named(matches, delphi):
    folder = delphi({"explanations/layers.3.mlp_latent0": "x"})
    file = folder / "explanations" / "layers.3.mlp_latent0.txt"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"layers.3.mlp_latent0.txt is not JSON"):
        read_interpretations(matches, explanations=(("seed0", folder),))


@pytest.mark.parametrize(
    ("lines", "name", "message"),
    [
        (["sae,latent", "seed0,1"], None, "with the columns explanation"),
        (["sae,latent,explanation", "seed9,1,x"], None, "some of seed0, seed1, got those of seed9"),
        (["sae,latent,explanation", "seed1,4,x"], None, "latents 0 to 3, but latent 4"),
        (["sae,latent,explanation", "seed1,1,x"], "seed1", "names its SAEs itself: leave seed1="),
        (["sae,latent,explanation", "seed1,1,x", "seed1,1,y"], None, "line 3: latent 1 .*twice"),
        (["sae,latent,explanation", f"seed1,1,{'x' * 200_000}"], None, "is no CSV table in UTF-8"),
    ],
)  # fmt: skip
def test_other_tables_are_refused_in_one_line(matches, tmp_path, lines, name, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_interpretations(matches, explanations=((name, table(tmp_path, *lines)),))
    assert "\n" not in str(raised.value)


def test_scores_of_other_saes_are_refused(matches, tmp_path):
    file = table(tmp_path, "sae,latent,score", "seed9,1,0.5")
    with pytest.raises(ValueError, match="expected some of seed0, seed1, got those of seed9"):
        read_interpretations(matches, scores=file)


def test_two_places_cannot_explain_one_sae(matches, delphi, tmp_path):
    folder = delphi({"explanations/layers.3.mlp_latent0": "x"})
    file = table(tmp_path, "sae,latent,explanation", "seed0,1,x")
    with pytest.raises(ValueError, match="explains seed0, as another place does, too"):
        read_interpretations(matches, explanations=(("seed0", folder), (None, file)))
