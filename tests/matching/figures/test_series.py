"""Figs 4 and 5: every value is where its factor says."""

import numpy as np
from twinsae.matching.figures.series import COSINES, FRACTIONS, bars, by_number


def with_extremes(columns: dict[str, list[float]], spread: float = 0.0) -> dict[str, np.ndarray]:
    table = {}
    for name, values in columns.items():
        table[name] = np.array(values)
        table[f"{name}_min"], table[f"{name}_max"] = table[name] - spread, table[name] + spread
    return table


# The paper's figure 4, left: num_latents, "and" and "equal".
SIZES = [32, 768, 4084, 27648, 32768, 131072]
AND = [0.8125, 0.7852, 0.6956, 0.4346, 0.4159, 0.2758]
EQUAL = [1.0, 0.9492, 0.9163, 0.8049, 0.7929, 0.7019]


def points_of(axes) -> dict[str, np.ndarray]:
    return {
        line.get_gid().removeprefix("points: "): line.get_xydata()
        for line in axes.lines
        if line.get_gid()
    }


def test_shares_stand_at_their_sizes_on_a_logarithmic_axis():
    table = {"num_latents": np.array(SIZES), **with_extremes({"and": AND, "equal": EQUAL})}
    drawing = by_number(
        table, factor="num_latents", axis="Number of latents", shown=FRACTIONS, value="Fraction"
    )
    (axes,) = drawing.figure.axes
    points = points_of(axes)
    np.testing.assert_array_equal(points["and"], np.column_stack((SIZES, AND)))
    np.testing.assert_array_equal(points["equal"], np.column_stack((SIZES, EQUAL)))
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == SIZES
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["32", "768", "4,084", "27,648", "", "131,072"]  # no label on another
    assert not axes.collections  # one match a size has no extremes
    assert drawing.table is table


def test_several_matches_of_a_size_have_their_extremes_as_bars():
    table = {"k": np.array([32, 64]), **with_extremes({"and": AND[:2], "equal": EQUAL[:2]}, 0.05)}
    drawing = by_number(table, factor="k", axis="k", shown=FRACTIONS, value="", note="mixed")
    (axes,) = drawing.figure.axes
    first = axes.collections[0].get_segments()[0]
    np.testing.assert_allclose(first, [[32, AND[0] - 0.05], [32, AND[0] + 0.05]])
    assert axes.get_title() == "mixed"


def test_cosines_have_four_series():
    columns = {shown.column: [0.1 * n, 0.2] for n, shown in enumerate(COSINES)}
    table = {"tokens": np.array([8e8, 8e9]), **with_extremes(columns)}
    drawing = by_number(table, factor="tokens", axis="Tokens", shown=COSINES, value="Mean cosine")
    points = points_of(drawing.figure.axes[0])
    assert {name: xy[0, 1] for name, xy in points.items()} == {
        name: values[0] for name, values in columns.items()
    }


def test_bars_stand_in_groups_by_layer_and_size():
    table = {
        "layer": np.array([0, 0, 1, 1, 2]),
        "num_latents": np.array([768, 4096, 768, 4096, 768]),
        **with_extremes({"and": [0.03, 0.001, 0.563, 0.506, np.nan]}),
    }
    drawing = bars(
        table, factor="layer", axis="Layer", hue="num_latents", measure="and", value="Fraction"
    )
    (axes,) = drawing.figure.axes
    heights = {patch.get_gid(): (patch.get_x(), patch.get_height()) for patch in axes.patches}
    found = [heights[f"bar: and 0 {n}"] for n in range(2)] + [
        heights[f"bar: and 1 {n}"] for n in range(2)
    ]
    np.testing.assert_allclose(
        found, [(-0.4, 0.03), (0.6, 0.563), (0.0, 0.001), (1.0, 0.506)], atol=1e-12
    )
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["768", "4,096"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]


def test_without_a_hue_all_bars_have_one_colour():
    table = {
        "architecture": np.array(["gated", "relu", "topk"]),
        **with_extremes({"decoder": [0.8562, 0.8241, 0.7422]}, 0.01),
    }
    drawing = bars(
        table, factor="architecture", axis="", hue=None, measure="decoder", value="Fraction"
    )
    (axes,) = drawing.figure.axes
    assert [patch.get_height() for patch in axes.patches] == [0.8562, 0.8241, 0.7422]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 1
    assert axes.get_legend() is None
    assert axes.collections  # the extremes
