"""The figures hold the data they were given, whatever it is."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from twinsae.matching.report import joint, svg
from twinsae.matching.report.data import MatchedSide, read_match
from twinsae.matching.report.figures import (
    Curve,
    histogram_figure,
    sweep_figure,
    training_figure,
)


def side(cosine, partner):
    return MatchedSide(np.array(cosine, dtype=float), np.array(partner), 0.2)


def draw(figure, name="figure"):
    with svg.house_style():
        return str(svg.inline_svg(figure, name, "label"))


def test_groups_by_agreement_of_the_two_matchings():
    nan = float("nan")
    decoder = side([0.9, 0.8, nan, 0.6, 0.5], [4, 3, -1, 1, 0])
    encoder = side([0.7, 0.6, 0.5, nan, 0.3], [4, 2, 1, -1, 0])
    different, equal = joint.joint_groups(decoder, encoder)
    assert different.decoder.tolist() == [0.8]
    assert different.encoder.tolist() == [0.6]
    assert equal.decoder.tolist() == [0.9, 0.5]
    assert equal.encoder.tolist() == [0.7, 0.3]


def test_every_matched_latent_is_a_point_of_its_colour(tmp_path, write_match):
    write_match(tmp_path, num_a=200, num_b=200)
    match = read_match(tmp_path)
    groups = joint.joint_groups(match.sides["decoder"], match.sides["encoder"])
    figure = joint.joint_figure(groups, 0.7, 0.2)
    for group, points in zip(groups, figure.axes[0].lines, strict=False):
        assert points.get_color() == group.colour
        np.testing.assert_array_equal(points.get_xdata(), group.decoder)
        np.testing.assert_array_equal(points.get_ydata(), group.encoder)
    assert "<image" not in draw(figure)


def test_many_points_become_pixels(tmp_path, write_match):
    write_match(tmp_path, num_a=5000, num_b=5000)
    match = read_match(tmp_path)
    groups = joint.joint_groups(match.sides["decoder"], match.sides["encoder"])
    text = draw(joint.joint_figure(groups, 0.7, 0.2))
    assert text.count("<image") == 1
    assert len(text) < 400_000


EMPTY = np.empty(0)
DEGENERATE = {
    "nobody": (EMPTY, EMPTY),
    "one": (np.array([0.4]), np.array([0.3])),
    "constant": (np.full(50, 1.0), np.full(50, 1.0)),
    "a line": (np.linspace(0, 1, 50), np.linspace(0, 1, 50)),
    "constant in one": (np.full(50, 0.5), np.linspace(0, 1, 50)),
    "negative": (np.linspace(-0.6, -0.2, 50), np.linspace(-0.1, -0.5, 50) ** 3),
}


@pytest.mark.parametrize("equal", DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize("different", DEGENERATE.values(), ids=DEGENERATE)
def test_joint_survives(equal, different):
    groups = [
        joint.Group("Different", *different, svg.ORANGE, svg.DIFFERENT_INK),
        joint.Group("Equal", *equal, svg.BLUE, svg.EQUAL_INK),
    ]
    text = draw(joint.joint_figure(groups, 0.7, 0.0))
    assert f"Equal: {equal[0].size}" in text
    assert not re.search(r"\bnan\b", text)


def test_density_is_that_of_a_gaussian():
    points = np.random.default_rng(0).normal(0.5, 0.1, (20_000, 1))
    at = np.linspace(0.3, 0.7, 9)[:, None]
    expected = np.exp(-((at[:, 0] - 0.5) ** 2) / 0.02) / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(joint.density(points, at), expected, atol=0.1 * expected.max())


@pytest.mark.parametrize("name", [name for name in DEGENERATE if name != "negative"])
def test_no_density_where_there_is_none(name):
    points = np.column_stack(DEGENERATE[name])
    assert joint.density(points, np.zeros((1, 2))) is None


def test_contours_enclose_the_stated_shares():
    x, y = np.meshgrid(np.linspace(-4, 4, 200), np.linspace(-4, 4, 200))
    heights = np.exp(-(x**2 + y**2) / 2)
    levels = joint.contour_levels(heights)
    enclosed = [heights[heights >= level].sum() / heights.sum() for level in levels]
    np.testing.assert_allclose(enclosed, joint.MASS, atol=0.005)


def test_sample_is_always_the_same_and_bounded():
    values = np.arange(10_000.0)[:, None]
    first = joint.sample(values)
    assert len(first) == len(np.unique(first)) == joint.KDE_SAMPLE
    np.testing.assert_array_equal(first, joint.sample(values))
    np.testing.assert_array_equal(joint.sample(values[:7]), values[:7])


def test_sweep_lines_are_the_summarys(tmp_path, write_match):
    sweep = write_match(tmp_path / "m")["overlap"]["sweep"]
    other = write_match(tmp_path / "u", quality=0, seed=1)["overlap"]["sweep"]
    figure = sweep_figure(read_match(tmp_path / "m"), read_match(tmp_path / "u"))
    lines = [(line.get_label(), line.get_ydata()) for line in figure.axes[0].lines]
    for name in ("and", "and_equal", "max", "decoder", "encoder"):
        (values,) = (values for label, values in lines if label == name)
        np.testing.assert_array_equal(values, sweep[name])
    unlabelled = [list(values) for label, values in lines if label.startswith("_")]
    for name in ("and", "and_equal", "max"):
        assert other[name] in unlabelled


def test_threshold_is_marked(tmp_path, write_match):
    write_match(tmp_path)
    match = read_match(tmp_path)
    for axes in [*sweep_figure(match, None).axes, *histogram_figure(match, None).axes]:
        assert [0.7, 0.7] in [list(line.get_xdata()) for line in axes.lines]


def test_histogram_is_in_percent_of_matched_latents(tmp_path, write_match):
    write_match(tmp_path, num_a=300, num_b=120)
    match = read_match(tmp_path)
    panels = histogram_figure(match, None).axes
    for axes, name in zip(panels, ("decoder", "encoder"), strict=True):
        (patch,) = axes.patches
        heights, edges, _ = patch.get_data()
        assert heights.sum() == pytest.approx(100)
        cosine = match.sides[name].cosine
        above = round(heights[edges[:-1] >= 0.5].sum() / 100 * 120)
        assert above == np.sum(cosine >= edges[edges >= 0.5][0])


def test_histogram_keeps_its_scale_beside_a_baseline_of_one_value(tmp_path, write_match):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u", cosine=0.125)
    figure = histogram_figure(read_match(tmp_path / "m"), read_match(tmp_path / "u"))
    assert figure.axes[0].get_ylim()[1] < 50


def curve(values, label="seed 0", colour=svg.GREY):
    return Curve(label, np.arange(len(values)) * 2048.0, np.array(values), colour, 0.9)


def test_training_curves_are_the_logs():
    curves = [curve([5.0, 3.0, 0.0], f"seed {n}", c) for n, c in enumerate((svg.BLUE, svg.GREY))]
    figure = training_figure(curves, "Latents", whole=True)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["seed 0", "seed 1"]
    assert [line.get_color() for line in axes.lines] == [svg.BLUE, svg.GREY]
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xdata(), [0, 2048, 4096])
        np.testing.assert_array_equal(line.get_ydata(), [5, 3, 0])
    assert axes.get_legend() is None
    assert training_figure(curves, "Latents", legend=True).axes[0].get_legend() is not None


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [np.inf, 1.0], [-1.0, -2.0]])
def test_training_curves_survive(values):
    assert draw(training_figure([curve(values)], "FVU", log=True)).startswith("<svg")


def test_a_single_logged_step_is_visible():
    assert training_figure([curve([0.5])], "FVU").axes[0].lines[0].get_marker() == "o"


@pytest.mark.parametrize(("low", "scale"), [(1.0, "log"), (6.0, "linear"), (0.0, "linear")])
def test_a_wide_range_has_a_logarithmic_axis(low, scale):
    curves = [curve([100.0, 50.0]), curve([low, low])]
    assert training_figure(curves, "L0", log=True).axes[0].get_yscale() == scale
    assert training_figure(curves, "FVU").axes[0].get_yscale() == "linear"


def scribble():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], marker="o", color=svg.INK)
    axes.set_title("a title")
    return figure


def test_ids_of_two_figures_do_not_clash_and_references_resolve():
    texts = [draw(scribble(), name) for name in ("one", "two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert not ids[0] & ids[1]
    for text, known in zip(texts, ids, strict=True):
        used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
        assert used
        assert used <= known


def test_figure_takes_colours_and_type_from_the_page():
    text = draw(scribble())
    assert "var(--ink)" in text
    assert not [placeholder for placeholder in svg.THEME if placeholder in text]
    assert "font-family" not in text
    assert "<style" not in text
    assert ">a title</text>" in text


def test_label_is_escaped():
    with svg.house_style():
        text = svg.inline_svg(scribble(), "x", 'a "b" <c>')
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in text


def test_own_matplotlib_settings_neither_matter_nor_suffer():
    plain = draw(scribble())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        with svg.house_style():
            figure = scribble()
            text = str(svg.inline_svg(figure, "figure", "label"))
        assert dict(mpl.rcParams) == before
    with svg.house_style():
        assert text == str(svg.inline_svg(scribble(), "figure", "label"))
    assert "red" not in text
    assert plain.startswith("<svg")
