"""Fig 2, the ring and the heat map, from planted numbers."""

import numpy as np
import pytest
from twinsae.matching.figures.seeds import counts_by_seeds, donut, heat_map, unique_by_seeds

CRITERION = "and, cosine > 0.7"


def by_gid(figure, start: str) -> dict[str, object]:
    return {
        artist.get_gid(): artist
        for artist in figure.findobj(lambda a: (a.get_gid() or "").startswith(start))
    }


def test_unique_latents_and_the_curve_through_them():
    numbers = np.arange(2, 10)
    fit = {"a": 0.589, "b": -0.916, "c": 0.270}
    mean = 0.589 * numbers**-0.916 + 0.270
    table = {"saes": numbers, "mean": mean, "std": np.full(8, 0.01)}
    drawing = unique_by_seeds(table, criterion=CRITERION, fit=fit)
    (axes,) = drawing.figure.axes
    points = by_gid(drawing.figure, "points")["points: mean"].get_xydata()
    np.testing.assert_array_equal(points, np.column_stack((numbers, mean)))
    (bars,) = axes.collections
    np.testing.assert_allclose(bars.get_segments()[3][:, 1], [mean[3] - 0.01, mean[3] + 0.01])
    curve = drawing.panels["fit"]
    assert (curve["saes"][0], curve["saes"][-1]) == (2, 9)
    np.testing.assert_allclose(curve["share"][[0, -1]], mean[[0, -1]])
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "0.589 n^-0.916 + 0.270" in texts
    assert CRITERION in axes.get_ylabel()


def test_without_a_fit_there_is_no_curve():
    table = {"saes": np.array([2]), "mean": np.array([0.5]), "std": np.array([0.0])}
    drawing = unique_by_seeds(table, criterion=CRITERION, fit=None)
    assert not drawing.panels
    assert len(drawing.figure.axes[0].get_legend().get_texts()) == 1


COUNTS = {
    "sae": np.repeat(["s1", "s2"], 3),
    "saes": np.tile([1, 2, 3], 2),
    "latents": np.array([10, 20, 70, 5, 5, 10]),
}


def test_counts_have_one_line_for_each_sae():
    drawing = counts_by_seeds(COUNTS, criterion=CRITERION)
    lines = by_gid(drawing.figure, "line")
    assert list(lines) == ["line: s1", "line: s2"]
    assert lines["line: s2"].get_xydata().tolist() == [[1, 5], [2, 5], [3, 10]]
    assert drawing.table is COUNTS


def test_many_saes_have_different_lines():
    names = [f"s{n}" for n in range(21)]
    table = {
        "sae": np.repeat(names, 2),
        "saes": np.tile([1, 2], 21),
        "latents": np.arange(42),
    }
    drawing = counts_by_seeds(table, criterion=CRITERION)
    lines = by_gid(drawing.figure, "line").values()
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == 21


def test_the_rings_wedges_are_mean_shares_over_saes():
    drawing = donut(COUNTS, criterion=CRITERION)
    expected = np.mean([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5]], axis=0)
    np.testing.assert_allclose(drawing.table["share"], expected)
    wedges = by_gid(drawing.figure, "wedge").values()
    angles = [abs(wedge.theta2 - wedge.theta1) for wedge in wedges]
    np.testing.assert_allclose(angles, 360 * expected, rtol=1e-6)
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    assert {"17.5 %", "22.5 %", "60.0 %"} <= texts


def test_an_empty_group_has_no_wedge_and_no_number():
    table = {name: column[:3] for name, column in COUNTS.items()} | {
        "latents": np.array([0, 1, 99])
    }
    drawing = donut(table, criterion=CRITERION)
    assert drawing.table["share"].tolist() == [0, 0.01, 0.99]
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    assert texts & {"0.0 %", "1.0 %"} == set()


def test_the_heat_map_has_one_cell_for_each_ordered_pair():
    table = {
        "of": np.array(["seed10", "seed9", "seed9"]),
        "with": np.array(["seed9", "seed10", "seed2"]),
        "share": np.array([0.41, 0.42, 0.43]),
    }
    drawing = heat_map(table, criterion=CRITERION)
    axes = drawing.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed2", "seed9", "seed10"]
    grid = np.ma.filled(by_gid(drawing.figure, "cells")["cells"].get_array(), np.nan)
    expected = np.full((3, 3), np.nan)
    expected[2, 1], expected[1, 2], expected[1, 0] = 0.41, 0.42, 0.43
    np.testing.assert_array_equal(grid, expected)
    assert sorted(text.get_text() for text in axes.texts) == ["0.41", "0.42", "0.43"]


@pytest.mark.parametrize("number", [2, 13])
def test_cells_are_numbered_while_they_are_few(number):
    names = [f"s{n}" for n in range(number)]
    table = {
        "of": np.repeat(names, number),
        "with": np.tile(names, number),
        "share": np.full(number**2, 0.5),
    }
    axes = heat_map(table, criterion=CRITERION).figure.axes[0]
    assert len(axes.texts) == (4 if number == 2 else 0)
