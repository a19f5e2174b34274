"""The tables of `twinsae match-all` keep the criteria's names and all numbers at 80 columns."""

import io
from itertools import pairwise

import pytest
from rich.console import Console
from twinsae.cli.seed_tables import (
    SHOWN,
    counts_tables,
    criteria_table,
    curve_table,
    fits_table,
    means_table,
    pairs_table,
    tables,
)
from twinsae.matching.criteria.curve_fits import fit_curves

NAMES = [f"a-rather-long-name-of-run-{n}" for n in range(9)]


def printed(*tables: object) -> str:
    text = io.StringIO()
    for table in tables:
        Console(file=text, width=80).print(table)
    return text.getvalue()


@pytest.fixture
def result() -> dict:
    sides = {side: {"certified": True, "mean_cosine": 0.4321} for side in ("decoder", "encoder")}
    pairs = [
        {"a": a, "b": b, "sides": sides, "criteria": dict.fromkeys(SHOWN, 0.256)}
        for a, b in pairwise(NAMES)
    ]
    shares = {"mean": 0.5, "std": 0.01, "min": 0.4321, "max": 0.6}
    return {
        "threshold": 0.7,
        "criterion": "and",
        "dictionaries": [{"name": name} for name in NAMES],
        "pairs": pairs,
        "over_seeds": {name: {"mean": 0.25, "interval": [0.2, 0.3]} for name in SHOWN},
        "only_in_base": [{"dictionaries": n, **shares} for n in range(1, 10)],
        "in_exactly": {name: [131_072 + n for n in range(9)] for name in NAMES},
    }


def test_pairs(result):
    shown = printed(pairs_table(result))
    assert "mean cosine, decoder" in shown
    assert "mean cosine, encoder" in shown
    assert shown.count("proved") == 8
    assert shown.count("0.432") == 16
    result["pairs"][3]["sides"] = {"decoder": {"certified": False, "mean_cosine": 0.1}}
    assert "NOT PROVED" in printed(pairs_table(result | {"pairs": result["pairs"][3:4]}))


def test_means_have_their_intervals(result):
    shown = printed(means_table(result))
    assert shown.count("25.0%") == shown.count("20.0% to 30.0%") == len(SHOWN)
    result["over_seeds"]["and"]["interval"] = None
    assert printed(means_table(result)).count("20.0% to 30.0%") == len(SHOWN) - 1


def test_criteria_are_never_cut(result):
    shown = printed(criteria_table(result))
    for name in SHOWN:
        assert f" {name} " in shown
    assert shown.count("25.6%") == 8 * len(SHOWN)
    assert "…" not in shown


def test_counts_of_many_are_in_several_tables(result):
    first, second = counts_tables(result)
    assert "in 6" in printed(first)
    assert "in 7" not in printed(first)
    shown = printed(second)
    for n in (7, 8, 9):
        assert f"in {n}" in shown
        assert shown.count(f"{131_072 + n - 1:,}") == 9
    assert "…" not in shown


def test_the_curve(result):
    assert printed(curve_table(result)).count("43.21%") == 9


def test_the_fits(result):
    shares = [0.5831, 0.4843, 0.4359, 0.4061, 0.3854, 0.3700, 0.3579, 0.3481]
    shown = printed(fits_table({"fits": fit_curves(range(2, 10), shares)}))
    for text in (
        "a n^b + c",
        "0.589 ± 0.010",
        "-0.916 ± 0.059",
        "0.270 ± 0.011",
        "0.0015",
        "0.0135",
    ):
        assert text in shown
    assert "…" not in shown
    flat = printed(fits_table({"fits": fit_curves(range(2, 10), [0.3] * 8)}))
    assert flat.count("± ?") == 8
    assert "do not determine" in flat
    titles = [table.title for table in tables(result | {"fits": {}, "pairs": []})]
    assert len(titles) == 3  # without the fits
