"""The field's metrics against dense numpy, and the command that writes them."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import match, match_files
from twinsae.matching.criteria import metric_files, partners
from twinsae.matching.criteria.metrics import side_metrics
from twinsae.matching.rows import StoredRows

SIZES = [(1, 1), (1, 5), (40, 40), (30, 50), (50, 30), (120, 130)]


def greedy_by_sorting(similarity):
    """Sort all pairs, and take each whose latents are both free."""
    num_a, num_b = similarity.shape
    partner, free = np.full(num_a, -1), np.ones(num_b, bool)
    order = np.argsort(-similarity.ravel(), kind="stable")
    for i, j in zip(*np.divmod(order, num_b), strict=True):
        if partner[i] < 0 and free[j]:
            partner[i], free[j] = j, False
    return partner


def expected_values(similarity):
    """Every number, as its definition says."""
    num_a = len(similarity)
    rows, cols = linear_sum_assignment(similarity, maximize=True)
    absolute = np.abs(similarity)
    best = absolute[linear_sum_assignment(absolute, maximize=True)]
    nearest, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    mutual = back[nearest] == np.arange(num_a)
    greedy = greedy_by_sorting(similarity)
    own = [similarity[i, greedy[i]] for i in range(num_a) if greedy[i] >= 0]
    return {
        "mean_matched_cosine": similarity[rows, cols].mean(),
        "mean_matched_absolute_cosine": best.mean(),
        "mean_max_cosine_a_to_b": similarity.max(axis=1).mean(),
        "mean_max_cosine_b_to_a": similarity.max(axis=0).mean(),
        "mean_greedy_cosine": np.mean(own),
        "mutual_nearest": mutual.mean(),
        "mutual_nearest_above_0.7": (mutual & (similarity.max(axis=1) > 0.7)).mean(),
        "matched_above_0.7": (similarity[rows, cols] > 0.7).sum() / num_a,
        "greedy_above_0.7": (np.array(own) > 0.7).sum() / num_a,
        "nearest_above_0.7": (similarity.max(axis=1) > 0.7).mean(),
        "greedy_agrees": (greedy[rows] == cols).mean(),
        "nearest_agrees": (nearest[rows] == cols).mean(),
    }


@pytest.mark.parametrize(("num_a", "num_b"), SIZES)
def test_every_number_is_its_definition(num_a, num_b, make_pair, cosines):
    a, b = make_pair(num_a, num_b, 12)
    b[::3] *= -1
    stored = StoredRows(a, "a"), StoredRows(b, "b")
    signed = match(a, b)
    found = side_metrics(*stored, signed, match(a, b, absolute=True))
    similarity = cosines(a, b)
    values = {metric.name: metric.value for metric in found.metrics}
    assert values == pytest.approx(expected_values(similarity), abs=1e-9)
    columns = found.columns
    np.testing.assert_array_equal(columns["greedy"], greedy_by_sorting(similarity))
    np.testing.assert_array_equal(columns["nearest"], similarity.argmax(axis=1))
    np.testing.assert_array_equal(columns["latent"], np.arange(num_a))
    assert (columns["matched"] >= 0).sum() == min(num_a, num_b)
    for name in ("matched", "greedy", "nearest"):
        partner = columns[name]
        own = np.where(partner >= 0, similarity[np.arange(num_a), partner], math.nan)
        np.testing.assert_allclose(columns[f"{name}_cosine"], own, atol=1e-12)


def test_the_metrics_of_the_wrong_matchings_are_refused(make_pair):
    a, b = make_pair(6, 6, 4)
    stored = StoredRows(a, "a"), StoredRows(b, "b")
    signed = match(a, b)
    with pytest.raises(ValueError, match="one of absolute cosines"):
        side_metrics(*stored, signed, signed)


@pytest.mark.parametrize("kind", ["plain", "zeros", "equal", "ties"])
@pytest.mark.parametrize("listed", [1, 3, 32])
def test_greedy_is_that_of_all_pairs_sorted(kind, listed, make_pair, cosines, monkeypatch):
    monkeypatch.setattr(partners, "_LISTED", listed)
    for num_a, num_b in SIZES:
        a, b = (rows.astype(float) for rows in make_pair(num_a, num_b, 10, seed=num_b))
        if kind == "zeros":
            a[::2], b[::3] = 0, 0
        elif kind == "equal":
            a[num_a // 3 :], b[num_b // 2 :] = a[0], b[0]
        elif kind == "ties":  # of length 4, so that cosines are exact
            rng = np.random.default_rng(0)
            a, b = (rng.choice([-1.0, 1.0], (len(rows), 16)) for rows in (a, b))
        found = partners.greedy_partners(
            StoredRows(a, "a"), StoredRows(b, "b"),
            partners.neighbours(StoredRows(a, "a"), StoredRows(b, "b"), listed=listed),
        )  # fmt: skip
        similarity = cosines(a, b)
        if kind in ("plain", "ties", "zeros"):
            np.testing.assert_array_equal(found, greedy_by_sorting(similarity))
        else:  # the rounding of equal rows' cosines decides their order
            rows = np.flatnonzero(found >= 0)
            expected = greedy_by_sorting(similarity)
            chosen = np.sort(similarity[rows, found[rows]])
            own = np.flatnonzero(expected >= 0)
            np.testing.assert_allclose(chosen, np.sort(similarity[own, expected[own]]), atol=1e-9)


def test_the_command_writes_metrics_and_partners(tmp_path, make_pair, cosines, capsys):
    decoders, encoders = make_pair(24, 31, 8), make_pair(24, 31, 8, seed=1)
    for name, decoder, encoder in zip("ab", decoders, encoders, strict=True):
        (tmp_path / name).mkdir()
        tensors = {
            "W_dec": torch.from_numpy(decoder),
            "encoder.weight": torch.from_numpy(encoder),
            "b_dec": torch.zeros(8),
        }
        save_file(tensors, tmp_path / name / "sae.safetensors")
    found = {}
    for absolute in (False, True):
        out = tmp_path / f"match-{absolute}"
        sides = ["decoder", "encoder"]
        match_files(tmp_path / "a", tmp_path / "b", sides, out, absolute=absolute)
        assert main(["metrics", str(out)]) == 0
        document = json.loads((out / "metrics.json").read_text())
        assert document["format"] == metric_files.FORMAT
        found[absolute] = {
            (row["side"], row["metric"]): row["value"] for row in document["metrics"]
        }
        columns, facts = load_table(out / "encoder-partners.npz", metric_files.TABLE_FORMAT)
        assert facts["side"] == "encoder"
        assert len(columns["latent"]) == 24
    assert found[True] == pytest.approx(found[False], abs=1e-6)
    assert "PW-MCC" in capsys.readouterr().out
    for side, pair in (("decoder", decoders), ("encoder", encoders)):
        values = {name: value for (own, name), value in found[False].items() if own == side}
        assert values == pytest.approx(expected_values(cosines(*pair)), abs=1e-6)
    for number, name in enumerate("ab"):
        own = np.diag(cosines(decoders[number], encoders[number]))
        assert found[False]["both", f"alignment_{name}"] == pytest.approx(own.mean(), abs=1e-9)
        assert found[False]["both", f"alignment_{name}_p25"] == pytest.approx(
            np.percentile(own, 25), abs=1e-9
        )
