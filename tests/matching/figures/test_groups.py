"""Fig 3 and its like: every latent is in its group's colour, and counted in both margins."""

import numpy as np
import pytest
from twinsae.matching.figures.groups import frequency, score_histogram, scores
from twinsae.matching.figures.style import ordered_colours

AND = "and, cosine > 0.7"


@pytest.fixture
def table() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "latent": np.arange(50),
        "in_saes": np.repeat([1, 2, 3], [25, 15, 10]),
        "similarity": np.append(rng.uniform(-0.1, 1, 48), [1.0, np.nan]),
        "count": np.append([0, 0, 1, 10**7], rng.integers(1, 5000, 46)),
        "score": np.append([0.1, 1.0], rng.uniform(0.4, 1, 48)),
    }


def groups_of(drawing) -> dict[str, np.ndarray]:
    return {
        line.get_gid().removeprefix("points: "): line.get_xydata()
        for line in drawing.figure.axes[0].lines
        if line.get_gid()
    }


def test_every_latent_with_a_similarity_is_drawn_in_its_group(table):
    drawing = frequency(table, num_saes=3, criterion=AND, tokens=10_000_000)
    assert drawing.table["latent"].tolist() == list(range(49))
    points = groups_of(drawing)
    assert {name: len(xy) for name, xy in points.items()} == {
        "Only in one SAE": 25, "In 2 SAEs": 15, "In all 3 SAEs": 9,
    }  # fmt: skip
    expected = np.column_stack((table["similarity"], table["count"]))[25:40]
    np.testing.assert_array_equal(points["In 2 SAEs"], expected)
    assert points["Only in one SAE"][:2, 1].tolist() == [0.5, 0.5]  # a count of 0
    main, top, _ = drawing.figure.axes
    assert main.get_ylabel() == "Number of occurrences on 10,000,000 tokens"
    assert main.get_yticklabels()[0].get_text() == "never"
    assert top.get_title(loc="left") == "1 latents without any match are left out"
    assert [line.get_color() for line in main.lines if line.get_gid()] == ordered_colours(3)
    (legend,) = drawing.figure.legends
    assert legend.get_title().get_text() == f"Latents, shared by {AND}"
    low, high = main.get_ylim()
    assert low < 0.5
    assert high > 10**7


def test_both_margins_count_every_latent_once(table):
    drawing = frequency(table, num_saes=3, criterion=AND, tokens=None)
    for name, first in (("similarity-histogram", None), ("count-histogram", 2)):
        bins = drawing.panels[name]
        assert [bins[f"in_{n}"].sum() for n in (1, 2, 3)] == [25, 15, 9]
        assert first is None or bins["in_1"][0] == first
    counts = drawing.panels["count-histogram"]
    assert counts["from"].tolist()[:3] == [0.4, 0.8, 1.0]
    assert counts["in_1"][-1] == 1  # ten million
    assert len(counts["from"]) == 51
    _, top, right = drawing.figure.axes
    stacks = {patch.get_gid(): patch.get_data() for patch in top.patches}
    bins = drawing.panels["similarity-histogram"]
    np.testing.assert_array_equal(
        stacks["stack: In all 3 SAEs"].values, bins["in_1"] + bins["in_2"] + bins["in_3"]
    )
    assert right.get_yscale() == "log"


def test_scores_take_the_place_of_counts(table):
    drawing = scores(table, num_saes=3, criterion=AND)
    points = groups_of(drawing)
    np.testing.assert_array_equal(points["Only in one SAE"][:, 1], table["score"][:25])
    bins = drawing.panels["score-histogram"]
    assert len(bins["from"]) == 99
    assert bins["from"][0] == pytest.approx(0.1)
    assert bins["in_1"].sum() == 25
    assert bins["in_1"][-1] >= 1  # a score of 1
    assert drawing.figure.axes[0].get_yscale() == "linear"


def test_the_histogram_of_scores_is_stacked(table):
    drawing = score_histogram(table, num_saes=3, criterion=AND)
    (axes,) = drawing.figure.axes
    total = sum(drawing.table[f"in_{n}"] for n in (1, 2, 3))
    assert total.sum() == 50
    uppermost = next(p for p in axes.patches if p.get_gid() == "stack: In all 3 SAEs")
    np.testing.assert_array_equal(uppermost.get_data().values, total)
    assert axes.get_ylabel() == "Number of latents (of 50 that have a score)"


def test_two_saes_and_no_latent_at_all():
    nothing = {
        "in_saes": np.empty(0, dtype=int),
        "similarity": np.empty(0),
        "count": np.empty(0, dtype=int),
    }
    drawing = frequency(nothing, num_saes=2, criterion=AND, tokens=5)
    assert list(groups_of(drawing)) == ["Only in one SAE", "In all 2 SAEs"]
    assert drawing.panels["count-histogram"]["in_2"].sum() == 0
