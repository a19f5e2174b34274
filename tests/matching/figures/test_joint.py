"""Fig 1 and its like: the points, their groups and their densities."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde
from twinsae.matching.figures.density import density, levels
from twinsae.matching.figures.joint import alignment, max_vs_matched


@pytest.fixture
def table() -> dict[str, np.ndarray]:
    """Sixty latents: 40 of one match, 20 of two; the last five have no encoder's match."""
    rng = np.random.default_rng(0)
    decoder = np.concatenate((rng.uniform(0.5, 0.99, 40), rng.uniform(-0.15, 0.4, 20)))
    encoder = np.clip(decoder + rng.normal(0, 0.05, 60), -1, 1)
    encoder[55:] = np.nan
    partners = rng.permutation(60)
    return {
        "latent": np.arange(60),
        "decoder_cosine": decoder,
        "encoder_cosine": encoder,
        "decoder_match": partners,
        "encoder_match": np.where(np.arange(60) < 40, partners, (partners + 1) % 60),
        "decoder_max": np.where(np.arange(60) % 3 == 0, decoder, decoder + 0.01),
    }


def points_of(drawing) -> dict[str, np.ndarray]:
    """Return each group's points as matplotlib holds them, by the beginning of its label."""
    (main, *_) = drawing.figure.axes
    return {
        line.get_gid().removeprefix("points: "): line.get_xydata()
        for line in main.lines
        if (line.get_gid() or "").startswith("points")
    }


def test_alignment_draws_every_latent_that_both_sides_match(table):
    drawing = alignment(table, threshold=0.7, chance_floor=0.2)
    assert drawing.table["latent"].tolist() == list(range(55))
    assert drawing.table["equal"].tolist() == [True] * 40 + [False] * 15
    pairs = np.column_stack((table["decoder_cosine"], table["encoder_cosine"]))
    points = points_of(drawing)
    np.testing.assert_array_equal(points["Same match"], pairs[:40])
    np.testing.assert_array_equal(points["Different matches"], pairs[40:55])
    low, high = drawing.figure.axes[0].get_xlim()
    assert low < np.nanmin(pairs)
    assert high > 1
    texts = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
    assert texts == ["Different matches: 15 (27.3 %)", "Same match: 40 (72.7 %)"]


def test_the_margins_are_densities_of_all_latents_together(table):
    drawing = alignment(table, threshold=0.7, chance_floor=0.2)
    margin = drawing.panels["decoder-cosine-density"]
    step = margin["cosine"][1] - margin["cosine"][0]
    for name, values in (("Same match", slice(40)), ("Different matches", slice(40, 55))):
        own = margin["group"] == name
        data = table["decoder_cosine"][values]
        expected = gaussian_kde(data)(margin["cosine"][own]) * len(data) / 55
        np.testing.assert_allclose(margin["density"][own], expected, atol=0.02)
    assert margin["density"].sum() * step == pytest.approx(1, abs=0.04)  # a tail is cut off


def test_nothing_lies_below_the_diagonal(table):
    drawing = max_vs_matched(table, side="decoder", threshold=0.7)
    assert drawing.table["nearest"].tolist() == [i % 3 == 0 for i in range(60)]
    points = points_of(drawing)
    assert len(points["The match is nearest"]) == 20
    assert all((xy[:, 1] >= xy[:, 0]).all() for xy in points.values())
    np.testing.assert_array_equal(
        points["Another is nearer"][:, 0],
        table["decoder_cosine"][np.arange(60) % 3 > 0],
    )


@pytest.mark.parametrize("number", [0, 1, 9])
def test_few_latents_are_points_without_densities(table, number):
    few = {name: column[:number] for name, column in table.items()}
    drawing = alignment(few, threshold=0.7, chance_floor=0.2)
    assert len(drawing.table["latent"]) == number
    assert len(drawing.panels["encoder-cosine-density"]["cosine"]) == 0


def test_many_points_are_pixels_and_none_is_left_out(table):
    many = {name: np.tile(column, 60) for name, column in table.items()}
    drawing = alignment(many, threshold=0.7, chance_floor=0.2)
    lines = [line for line in drawing.figure.axes[0].lines if line.get_gid()]
    assert all(line.get_rasterized() for line in lines)
    assert sum(len(line.get_xydata()) for line in lines) == 60 * 55


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_density_is_that_of_one_kernel_a_point(dimensions):
    rng = np.random.default_rng(1)
    mixing = np.array([[1.0, 0.0], [0.7, 0.4]])[:dimensions, :dimensions]
    points = 0.1 * rng.standard_normal((400, dimensions)) @ mixing.T + 0.3
    edges = [np.linspace(-0.5, 1.1, 201)] * dimensions
    heights = density(points, edges)
    middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    at = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).reshape(-1, dimensions)
    expected = gaussian_kde(points.T)(at.T).reshape(heights.shape)
    np.testing.assert_allclose(heights, expected, atol=0.04 * expected.max())


def test_points_on_one_spot_or_line_have_no_density():
    edges = np.linspace(0, 1, 11)
    assert density(np.full((50, 1), 0.5), [edges]) is None
    line = np.repeat(np.linspace(0, 1, 50)[:, None], 2, axis=1)
    assert density(line, [edges, edges]) is None


def test_contours_enclose_their_shares_of_the_mass():
    heights = np.random.default_rng(2).random((40, 40))
    found = levels(heights)
    assert found == sorted(found)
    shares = [heights[heights >= level].sum() / heights.sum() for level in found]
    np.testing.assert_allclose(shares, (0.95, 0.8, 0.6, 0.4, 0.2), atol=0.001)
