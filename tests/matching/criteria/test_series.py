"""Series of matches: rows, groups and factors, on summaries written out here."""

import pytest
from twinsae.matching.criteria.overlap import CRITERIA
from twinsae.matching.criteria.series import (
    COLUMNS,
    MEASURES,
    factors_of,
    grouped,
    joined,
    mixed,
    series_row,
    varying,
)


def summary(share: float, *, one_side: bool = False) -> dict:
    block = {"certified": True, "mean_cosine": share + 0.1, "mmcs_a_to_b": share + 0.2}
    names = ("decoder", "max_decoder") if one_side else CRITERIA
    criteria = {name: share + place / 100 for place, name in enumerate(names)}
    live = {name: value / 2 for name, value in criteria.items()}
    return {
        "inputs": {"a": {"path": "/x/seed0"}, "b": {"path": "/x/seed1"}},
        "sides": {"decoder": block} if one_side else {"decoder": block, "encoder": block},
        "overlap": {
            "threshold": 0.7,
            "criteria": criteria,
            "live": {"num_latents": 5, "criteria": live},
        },
    }


def test_a_row_has_every_criterion():
    row = series_row("m", summary(0.5), {"k": 4, "stage": "late"})
    assert factors_of([row]) == ["k", "stage"]
    assert {*row} == {*COLUMNS, "k", "stage"} - {"matches"}
    assert (row["match"], row["a"], row["b"], row["live_latents"]) == (
        "m",
        "/x/seed0",
        "/x/seed1",
        5,
    )
    for place, name in enumerate(CRITERIA):
        assert row[name] == 0.5 + place / 100
        assert row[f"live_{name}"] == row[name] / 2
    assert (row["decoder_cosine"], row["encoder_mmcs"]) == (0.6, 0.7)
    half = series_row("m", summary(0.5, one_side=True), {})
    assert half["max_decoder"] == 0.51
    assert half["and"] is half["encoder_cosine"] is half["live_equal"] is None


def test_a_factor_of_two_saes():
    assert joined(3, 3) == 3
    assert joined(3, 4) == "3|4"
    assert joined("mlp", "residual") == "mlp|residual"
    assert joined(None, 3) is joined(3, None) is joined(None, None) is None


def test_groups_have_means_and_extremes_in_order():
    sizes = [(768, 0.2, 4), (32, 0.6, 4), (768, 0.4, 8), (None, 0.1, 4), ("32|768", 0.3, 4)]
    rows = [
        series_row(str(size), summary(share), {"num_latents": size, "k": k, "layer": 3})
        for size, share, k in sizes
    ]
    groups = grouped(rows, ["num_latents"])
    assert [group["num_latents"] for group in groups] == [32, 768, "32|768", None]
    assert [group["matches"] for group in groups] == [1, 2, 1, 1]
    assert {*groups[0]} == {"num_latents", "matches"} | {
        f"{name}{end}" for name in MEASURES for end in ("", "_min", "_max")
    }
    both = groups[1]
    assert both["and"] == pytest.approx(0.3)
    assert (both["and_min"], both["and_max"]) == (0.2, 0.4)
    assert both["live_decoder"] == pytest.approx((0.22 + 0.42) / 4)
    assert mixed(rows, ["num_latents"]) == ["k"]
    assert mixed(rows, ["num_latents", "k"]) == []
    assert varying(rows, factors_of(rows)) == ["num_latents", "k"]
    pairs = grouped(rows, ["k", "num_latents"])
    assert [(pair["k"], pair["num_latents"]) for pair in pairs] == [
        (4, 32), (4, 768), (4, "32|768"), (4, None), (8, 768),
    ]  # fmt: skip
    with pytest.raises(
        ValueError, match=r"^by: there is no factor 'size'; there are num_latents, k"
    ):
        grouped(rows, ["size"])


def test_a_measure_that_no_match_of_a_group_has_is_none():
    rows = [series_row("m", summary(0.5, one_side=True), {"k": 4})]
    (group,) = grouped(rows, ["k"])
    assert group["and"] is group["and_min"] is None
    assert group["decoder"] == 0.5
    rows.append(series_row("n", summary(0.3), {"k": 4}))
    (group,) = grouped(rows, ["k"])
    assert group["and"] == 0.3 + CRITERIA.index("and") / 100
    assert group["matches"] == 2
