"""Scores and explanations: files are read as they say, and drawn as they are."""

import numpy as np
import pytest
from twinsae.matching.figures.explained import explained_cosine, explanations, score_pairs
from twinsae.matching.figures.score_files import of_sae, read_scores


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "scores.csv"
        path.write_text(text)
        return path

    return write


def test_a_table_of_scores_is_read(write):
    path = write(
        "latent,seed,score,explanation_cosine,explanation_cosine_before,who\n"
        "3,1,0.75,0.5,,x\n0,2,,0.25,0.125,y\n"
    )
    found = read_scores(path)
    assert list(found) == [
        "sae", "latent", "score", "explanation_cosine", "explanation_cosine_before",
    ]  # fmt: skip
    assert found["sae"].tolist() == ["1", "2"]
    assert found["latent"].tolist() == [3, 0]
    np.testing.assert_array_equal(found["score"], [0.75, np.nan])
    np.testing.assert_array_equal(found["explanation_cosine_before"], [np.nan, 0.125])
    own = of_sae(found, "seed1", 5)
    np.testing.assert_array_equal(own["score"], [np.nan] * 3 + [0.75, np.nan])
    assert np.isnan(of_sae(found, "seed12", 5)["score"]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latent,score\n", "expected a CSV table with the columns sae or seed"),
        ("sae\n", "expected a CSV table with the columns latent, score"),
        ("", "expected a CSV table with the columns sae or seed, latent, score"),
        ("sae,latent,score\na,0,0.5\na,x,1\n", "line 3: latent: expected a whole number, got 'x'"),
        ("sae,latent,score\na,-1,1\n", "line 2: latent: expected a whole number, got '-1'"),
        ("sae,latent,score\na,1,good\n", "line 2: score: expected a number, got 'good'"),
        ("sae,latent,score\na,1,inf\n", "line 2: score: expected a number, got 'inf'"),
        ("sae,latent,score\na,1,1\na,1,2\n", "line 3: latent 1 of 'a' comes twice"),
        ("sae,latent,score\na\n", "line 2: latent: expected a whole number, got None"),
    ],
)
def test_a_wrong_table_is_one_line(write, text, message):
    with pytest.raises(ValueError, match=r"scores\.csv") as error:
        read_scores(write(text))
    assert str(error.value).endswith(message)


def test_a_score_of_no_latent_is_refused(write):
    found = read_scores(write("sae,latent,score\na,5,0.5\n"))
    with pytest.raises(ValueError, match="a has latents 0 to 4, but there is a score of latent 5"):
        of_sae(found, "a", 5)


def test_pairs_of_scores_are_coloured_by_their_cosine():
    table = {
        "score_a": np.array([0.9, 0.45, 1.0]),
        "score_b": np.array([0.8, 0.5, 0.6]),
        "decoder_cosine": np.array([0.95, 0.1, 0.5]),
    }
    drawing = score_pairs(table)
    axes = drawing.figure.axes[0]
    (points,) = axes.collections
    np.testing.assert_array_equal(
        points.get_offsets(), np.column_stack((table["score_a"], table["score_b"]))
    )
    np.testing.assert_array_equal(points.get_array(), table["decoder_cosine"])
    assert axes.get_xlim()[0] < 0.45
    assert axes.get_title() == "3 matched pairs with both scores"


def test_explanations_are_counted_for_each_way():
    table = {
        "score": np.ones(4),
        "explanation_cosine": np.array([0.9, 0.92, 1.0, np.nan]),
        "explanation_cosine_before_alignment": np.array([0.5, 0.5, -0.2, 0.6]),
    }
    drawing = explanations(table)
    assert set(drawing.table) == {
        "from", "to", "explanation_cosine", "explanation_cosine_before_alignment",
    }  # fmt: skip
    assert drawing.table["explanation_cosine"].sum() == 3
    before = drawing.table["explanation_cosine_before_alignment"]
    assert before.sum() == 4
    assert before.max() == 2
    np.testing.assert_allclose(drawing.panels["means"]["mean"], [2.82 / 3, 0.35])
    texts = [t.get_text() for t in drawing.figure.axes[0].get_legend().get_texts()]
    assert texts == ["matched: 3, mean 0.940", "before alignment: 4, mean 0.350"]
    for wrong in ({"score": np.ones(2)}, {"explanation_cosine": np.full(2, np.nan)}):
        with pytest.raises(ValueError, match="expected numbers in a column explanation_cosine"):
            explanations(wrong)


def test_explanations_against_the_decoders_cosine():
    table = {
        "decoder_cosine": np.array([0.2, 0.9]),
        "explanation_cosine": np.array([0.4, -0.3]),
    }
    drawing = explained_cosine(table, threshold=0.7)
    line = next(line for line in drawing.figure.axes[0].lines if line.get_gid())
    assert line.get_xydata().tolist() == [[0.2, 0.4], [0.9, -0.3]]
    assert drawing.figure.axes[0].get_ylim()[0] < -0.3
