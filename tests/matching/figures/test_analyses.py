"""Figures of further analyses, from planted tables: what is drawn is what was planted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from twinsae.cli.main import main
from twinsae.common.files import sha256
from twinsae.common.tables import save_table
from twinsae.matching import Matching
from twinsae.matching.by_activations.files import FORMAT as BY_ACTIVATIONS
from twinsae.matching.certainty.files import FORMAT as CERTAINTY
from twinsae.matching.chain import Chain, save_chain
from twinsae.matching.figures import draw
from twinsae.matching.figures.curves import substitution, survival
from twinsae.matching.figures.histograms import certainty
from twinsae.matching.figures.seeds import group_sizes
from twinsae.matching.figures.split_latents import splitting
from twinsae.matching.splitting.files import FORMAT as SPLITTING
from twinsae.matching.stable import STABLE_FORMAT
from twinsae.matching.substitution.files import FORMAT as SUBSTITUTION

LOWER = np.array([0, 5e-5, 2e-4, 0.003, 0.003, 0.5])
BOUNDS = {
    "lower": LOWER,
    "upper": np.array([0, 5e-5, 4e-4, 0.003, 0.02, np.inf]),
    "exact": np.array([True, True, False, True, False, False]),
}


def drawn_by(axes, kind: str) -> dict:
    """Return the lines or patches that have a name, by it."""
    return {each.get_gid(): each for each in getattr(axes, kind) if each.get_gid()}


def read_csv_of(folder: Path, read) -> dict[str, list]:
    (file,) = (folder / "figures").glob("*.csv")
    return read(file)


def test_certainty_counts_every_pair_once(tmp_path, read):
    save_table(tmp_path / "encoder-certainty.npz", CERTAINTY, BOUNDS, {})
    draw("certainty", tmp_path, side="encoder")
    found = {name: np.array(values) for name, values in read_csv_of(tmp_path, read).items()}
    assert found["from"][0] == 0
    assert found["to"][0] == pytest.approx(1e-4)
    assert found["to"][-1] == pytest.approx(1)
    np.testing.assert_array_equal(found["from"][1:], found["to"][:-1])
    for name, values in (
        ("exact", LOWER[[0, 1, 3]]),
        ("apart", LOWER[[2, 4, 5]]),
        ("upper", BOUNDS["upper"][:5]),
    ):
        for low, high, number in zip(found["from"], found["to"], found[name], strict=True):
            assert number == ((values >= low) & (values < high)).sum()
        assert found[name].sum() == len(values)


def test_certainty_draws_what_the_csv_holds():
    drawing = certainty(BOUNDS, side="decoder", little=0.01)
    (axes,) = drawing.figure.axes
    patches = drawn_by(axes, "patches")
    exact, others, upper = (patch.get_data() for patch in patches.values())
    assert next(iter(patches)) == "stack: Known exactly: 3 (50.0 %)"
    assert axes.get_legend_handles_labels()[1][2] == "Upper bound of all, 1 have none"
    np.testing.assert_array_equal(exact.values, drawing.table["exact"])
    np.testing.assert_array_equal(others.baseline, drawing.table["exact"])
    np.testing.assert_array_equal(others.values - others.baseline, drawing.table["apart"])
    np.testing.assert_array_equal(upper.values, drawing.table["upper"])
    np.testing.assert_array_equal(upper.edges[1:], drawing.table["to"])
    # Falls above 1 widen the axis to the next power of ten.
    far = certainty(BOUNDS | {"lower": 3 * LOWER}, side="decoder", little=0.01)
    assert far.table["to"][-1] == pytest.approx(10)


@pytest.fixture
def pair(matches: Path, tmp_path: Path) -> Path:
    """A match whose match by activations has each latent's partner moved for odd latents.

    Latents 0 to 3 are never active together with their partners.
    """
    folder = Path(shutil.copytree(matches / "seed0--seed1", tmp_path / "pair"))
    weights = Matching.load(folder / "decoder.npz")
    cols = weights.cols.copy()
    cols[1::2] = np.roll(cols[1::2], 1)
    activations = Matching(
        weights.rows, cols, np.linspace(0, 0.95, 20), weights.row_price, weights.col_price,
        weights.row_max, weights.col_max, 0.0, 0.0,
    )  # fmt: skip
    activations.save(folder / "activations.npz", together=np.maximum(np.arange(20) - 3, 0))
    told = {"format": BY_ACTIVATIONS, "settings": {"measure": "pearson"}}
    (folder / "activations.json").write_text(json.dumps(told))
    return folder


def test_activations_are_drawn_against_weights(pair: Path, read):
    files = draw("by-activations", pair)
    weights = Matching.load(pair / "decoder.npz")
    found = read(pair / "figures/by-activations.csv")
    assert found["latent"] == list(range(4, 20))
    np.testing.assert_allclose(found["decoder_cosine"], weights.cosine[4:])
    np.testing.assert_allclose(found["activation_cosine"], np.linspace(0, 0.95, 20)[4:])
    assert found["equal"] == [1, 0] * 8
    assert found["decoder_match"] == weights.cols[4:].tolist()
    svg = (pair / "figures/by-activations.svg").read_text()
    assert "Activations: pearson with their match" in svg
    assert "Same match: 8 (50.0 %)" in svg
    told = json.loads(files[-1].read_text())["from"]
    named = [pair / "summary.json", pair / "activations.npz"]
    assert told == [{"path": f"../{file.name}", "sha256": sha256(file)} for file in named]
    draw("by-activations", pair, side="encoder")
    assert "encoder_cosine" in read(pair / "figures/by-activations.csv")


def test_a_match_of_other_saes_is_refused(pair: Path):
    short = Matching.load(pair / "activations.npz")
    fewer = {name: getattr(short, name)[:19] for name in ("rows", "cols", "cosine")}
    prices = {name: getattr(short, name)[:19] for name in ("row_price", "row_max")}
    rest = {"col_price": short.col_price, "col_max": short.col_max}
    other = Matching(**fewer, **prices, **rest, objective=0.0, upper_bound=0.0)
    other.save(pair / "activations.npz", together=np.ones(19, dtype=np.int64))
    with pytest.raises(ValueError, match=r"of 19 latents, and decoder\.npz of 20"):
        draw("by-activations", pair)


def test_substitution_draws_every_curve_with_its_area(tmp_path: Path, read):
    share = np.arange(1, 21) / 20
    curves = {
        ("exact", "direction"): 1 - share / 2,
        ("exact", "activation"): 1 - share**2,
        ("random", "direction"): 1 - 3 * share,
        ("random", "activation"): 1 - share,
    }
    table = {
        "choice": np.repeat([choice for choice, _ in curves], 20),
        "kind": np.repeat([kind for _, kind in curves], 20),
        "share": np.tile(share, 4),
        "quality": np.concatenate(list(curves.values())),
    }
    drawing = substitution(table)
    panels = dict(zip(("direction", "activation"), drawing.figure.axes, strict=True))
    for (choice, kind), quality in curves.items():
        xy = drawn_by(panels[kind], "lines")[f"line: {kind} {choice}"].get_xydata()
        np.testing.assert_array_equal(xy[0], (0, 1))
        np.testing.assert_array_equal(xy[1:], np.column_stack((share, quality)))
    labels = [text.get_text() for text in panels["direction"].get_legend().get_texts()]
    assert labels == ["Exact matching: 0.750", "Random: -0.500"]
    assert panels["direction"].get_ylim() == (-0.5, 1.02)  # the lowest leaves the picture
    save_table(tmp_path / "substitution-curves.npz", SUBSTITUTION, table, {})
    draw("substitution", tmp_path)
    np.testing.assert_array_equal(read_csv_of(tmp_path, read)["quality"], table["quality"])


def test_groups_are_counted_by_size(tmp_path: Path, read):
    # Three SAEs of 4 latents: one group of three, two of two, five of one.
    table = {
        "seed": np.repeat(np.arange(3), 4),
        "group_size": np.array([3, 2, 1, 1, 3, 2, 2, 1, 3, 2, 1, 1]),
    }
    drawing = group_sizes(table, criterion="planted")
    (axes,) = drawing.figure.axes
    heights = {name: bar.get_height() for name, bar in drawn_by(axes, "patches").items()}
    assert heights == {"bar: 1": 5, "bar: 2": 2, "bar: 3": 1}
    assert [text.get_text() for text in axes.texts][1] == "2\n33.3 %\nof all latents"
    save_table(tmp_path / "stable.npz", STABLE_FORMAT, table, {"threshold": 0.65})
    draw("stable", tmp_path)
    found = read_csv_of(tmp_path, read)
    assert found == {"size": [1, 2, 3], "groups": [5, 2, 1], "latents": [5, 4, 3]}
    assert "and_equal, cosine &gt; 0.65" in (tmp_path / "figures/stable.svg").read_text()


def test_survival_is_the_share_of_the_first_saes_latents(tmp_path: Path, read):
    found = Chain(
        partner=np.zeros((3, 4), dtype=np.int64),
        cosine=np.ones((3, 4)),
        to_first=np.array([[0.9, 0.8, 0.4, np.nan], [0.8, 0.6, 0.2, np.nan], [0.5] * 4]),
        survived=np.array([[True, True, False, False], [True, False, False, False], [False] * 4]),
        folded_mse=np.full((3, 4), np.nan),
    )
    save_chain(found, tmp_path / "chain-decoder.npz", [], side="decoder", threshold=0.6)
    draw("chain", tmp_path)
    csv = read_csv_of(tmp_path, read)
    assert csv["step"] == [0, 1, 2, 3]
    assert csv["survived"] == [1, 0.5, 0.25, 0]
    np.testing.assert_allclose(csv["to_first"], [1, 0.85, 0.8, np.nan])
    with np.load(tmp_path / "chain-decoder.npz") as stored:
        drawing = survival(dict(stored), side="decoder", threshold=0.6)
    (axes,) = drawing.figure.axes
    lines = drawn_by(axes, "lines")
    np.testing.assert_array_equal(lines["line: survived"].get_ydata(), csv["survived"])
    np.testing.assert_array_equal(lines["line: to_first"].get_ydata(), csv["to_first"])
    assert [text.get_text() for text in axes.texts] == ["threshold 0.6"]


@pytest.mark.parametrize("levels", [1, 2])
def test_split_latents_are_points_of_those_that_fire(levels: int, tmp_path: Path, read):
    rng = np.random.default_rng(levels)
    cosine = rng.uniform(0, 1, 30 * levels)
    table = {
        "level": np.repeat(np.arange(levels) + 1, 30),
        "fired": np.tile(np.arange(30) % 5, levels),  # every fifth latent never fires
        "cosine": cosine,
        "novel": cosine < 0.6,
        "inserted": rng.standard_normal(30 * levels) * 1e-4,
    }
    drawing = splitting(table, threshold=0.6)
    live = table["fired"] > 0
    for level, axes in enumerate(drawing.figure.axes, 1):
        points = drawn_by(axes, "lines")
        for words, novel in (("Novel", True), ("Reconstruction", False)):
            own = live & (table["level"] == level) & (table["novel"] == novel)
            expected = np.column_stack((cosine[own], table["inserted"][own]))
            np.testing.assert_array_equal(points[f"points: {words} {level}"].get_xydata(), expected)
        helps = (table["inserted"][own] < 0).sum()  # of reconstruction latents
        label = f"Reconstruction: {own.sum()}, {100 * helps / own.sum():.0f} % lower the error"
        assert axes.get_legend().get_texts()[1].get_text() == label
        low, high = axes.get_ylim()
        assert low < table["inserted"].min() < table["inserted"].max() < high
    if levels == 2:
        facts = {"summary": {"threshold": 0.6}}
        save_table(tmp_path / "splitting.npz", SPLITTING, table, facts)
        draw("splitting", tmp_path)
        csv = read_csv_of(tmp_path, read)
        np.testing.assert_array_equal(csv["inserted"], table["inserted"][live])


def test_an_sae_that_never_fires_has_no_points():
    empty = np.zeros(3)
    table = {"level": np.ones(3, dtype=int), "fired": empty, "cosine": empty,
             "novel": empty == 0, "inserted": empty}  # fmt: skip
    assert splitting(table, threshold=0.7).table["cosine"].size == 0


@pytest.mark.parametrize(
    ("name", "file", "writer"),
    [
        ("certainty", "decoder-certainty.npz", "certainty"),
        ("by-activations", "activations.npz", "match --by activations"),
        ("substitution", "substitution-curves.npz", "substitute"),
        ("stable", "stable.npz", "stable"),
        ("chain", "chain-decoder.npz", "chain"),
        ("splitting", "splitting.npz", "splitting"),
    ],
)
def test_a_table_that_is_missing_is_named(name, file, writer, tmp_path, capsys):
    assert main(["figure", name, str(tmp_path)]) == 2
    told = f"no {file} in {tmp_path}: `twinsae {writer}` writes it"
    assert told in " ".join(capsys.readouterr().err.split())
