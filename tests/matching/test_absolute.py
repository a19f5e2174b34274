"""Matching by absolute cosines: as a dense solver of |S|, proved, on disk and resumed."""

import json
import sys

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.matching import Matching, match, verify
from twinsae.matching.certainty import certainty
from twinsae.matching.solver import candidates, prices

SIZES = [(1, 1), (1, 9), (40, 40), (40, 70), (70, 40), (150, 150)]


@pytest.fixture(params=["matrix", "graph"])
def method(request, monkeypatch) -> str:
    if request.param == "graph":
        module = sys.modules["twinsae.matching.match"]  # the package's `match` is the function
        for name in ("must_take_matrix", "may_take_matrix"):
            monkeypatch.setattr(module, name, lambda *_: False)
    return {"matrix": "dense", "graph": "sparse"}[request.param]


def turned(make_pair, num_a, num_b, d_in, seed=0):
    """Dictionaries of which half of the shared latents point the other way."""
    a, b = make_pair(num_a, num_b, d_in, seed)
    b *= np.random.default_rng(seed).choice([-1, 1], (num_b, 1))
    return a, b.astype(np.float32)


@pytest.mark.parametrize(("num_a", "num_b"), SIZES)
@pytest.mark.parametrize("m", [1, 5, 32])
def test_it_is_the_optimum_of_absolute_cosines(
    num_a, num_b, m, method, make_pair, cosines, assert_optimal
):
    a, b = turned(make_pair, num_a, num_b, 12)
    matching = match(a, b, absolute=True, m=m)
    assert matching.absolute
    assert matching.stats["method"] == method
    assert_optimal(matching, np.abs(cosines(a, b)))
    certificate = verify(a, b, matching)
    assert certificate.valid, certificate.reasons
    signed = match(a, b)
    assert not signed.absolute
    assert signed.objective <= matching.objective + 1e-12


@pytest.mark.parametrize("kind", ["zeros", "equal", "opposite", "ties"])
def test_hard_dictionaries(kind, method, make_pair, cosines, assert_optimal):
    a, b = turned(make_pair, 60, 80, 6, seed=3)
    if kind == "zeros":
        a[::3], b[::2] = 0, 0
    elif kind == "equal":
        a[20:], b[30:] = a[0], -b[0]
    elif kind == "opposite":
        a[30:60], b[40:80] = -a[:30], -b[:40]
    else:
        a, b = np.sign(a), np.sign(b)
    for pair in ((a, b), (b, a), (a, b[:60])):
        matching = match(*pair, absolute=True, m=4)
        assert matching.stats["method"] == method
        assert_optimal(matching, np.abs(cosines(*pair)))
        assert verify(*pair, matching).valid


@pytest.mark.usefixtures("method")
def test_small_blocks_change_nothing(monkeypatch, make_pair, cosines, assert_optimal):
    a, b = turned(make_pair, 130, 150, 10)
    for name in ("_LEAST_ROWS", "_ROW_BYTES", "_COL_BYTES"):
        monkeypatch.setattr(candidates, name, 50)
    monkeypatch.setattr(prices, "_PAIRS_AT_ONCE", 20)
    monkeypatch.setattr(prices, "_ROW_BYTES", 40 * 70)
    assert_optimal(match(a, b, absolute=True, m=6), np.abs(cosines(a, b)))


def test_the_proof_looks_at_both_signs():
    # The prices hold for all cosines, and not for the absolute value of -1.
    a, b = np.eye(2), np.array([[0.6, 0.8], [0.0, -1.0]])
    signed, absolute = match(a, b), match(a, b, absolute=True)
    assert absolute.objective == pytest.approx(1.6)
    assert absolute.cols.tolist() == [0, 1]
    for wrong in (signed, absolute):
        other = Matching(**{**vars(wrong), "absolute": not wrong.absolute})
        assert verify(a, b, wrong).valid
        assert not verify(a, b, other).valid


def test_certainty_counts_absolute_cosines(make_pair):
    a, b = make_pair(50, 60, 12)
    flipped = b * np.random.default_rng(0).choice([-1, 1], (60, 1))
    results = [certainty(a, other, match(a, other, absolute=True)) for other in (b, flipped)]
    np.testing.assert_allclose(results[0].lower, results[1].lower, atol=1e-9)
    np.testing.assert_allclose(results[0].upper, results[1].upper, atol=1e-9)


def test_low_precision_is_as_stored(method, make_pair, cosines, assert_optimal):
    a, b = (torch.from_numpy(rows).bfloat16() for rows in turned(make_pair, 40, 50, 12))
    matching = match(a, b, absolute=True)
    assert matching.stats["method"] == method
    assert_optimal(matching, np.abs(cosines(a.double().numpy(), b.double().numpy())))


@pytest.mark.parametrize("method", ["graph"], indirect=True)
def test_work_of_a_signed_match_is_refused(method, make_pair, tmp_path):
    a, b = turned(make_pair, 200, 200, 12)
    first = match(a, b, absolute=True, work_dir=tmp_path)
    again = match(a, b, absolute=True, work_dir=tmp_path)
    np.testing.assert_array_equal(first.row_price, again.row_price)
    assert first.stats["method"] == method.replace("graph", "sparse")
    with pytest.raises(ValueError, match="is of another match"):
        match(a, b, work_dir=tmp_path)


def test_the_command_writes_and_reads_it(make_pair, tmp_path, cosines, best_objective, capsys):
    pair = turned(make_pair, 25, 30, 8)
    for name, rows in zip("ab", pair, strict=True):
        np.save(tmp_path / f"{name}.npy", rows)
    files, out = [str(tmp_path / f"{name}.npy") for name in "ab"], tmp_path / "match"
    given = ["match", *files, "--out", str(out), "--side", "decoder", "--absolute", "--verify"]
    assert main(given) == 0
    assert "absolute" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["settings"]["absolute"]
    assert summary["sides"]["decoder"]["verified"]["valid"]
    matching = Matching.load(out / "decoder.npz")
    assert matching.absolute
    assert matching.swapped().absolute
    assert matching.objective == pytest.approx(best_objective(np.abs(cosines(*pair))), abs=1e-9)
