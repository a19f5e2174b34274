"""The scan of codes: what it rules out, rows without a bound, and rows with too many survivors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels import _native
from twinsae.kernels.topk import linear_topk, mutual_topk, pack, pairs_above


@pytest.fixture(autouse=True, params=["amx_int8", "avx512_vnni", "avx2_int16", "neon_dotprod"])
def forced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the scan of codes of one instruction set at every size."""
    monkeypatch.setenv("TWINSAE_CPU_ISA", request.param)
    try:
        return _native.isa()
    except ValueError as refusal:
        pytest.skip(str(refusal))


def check(top, x, weight, bias, k, oracle: SimpleNamespace) -> None:
    values, indices = oracle.topk(oracle.scores(x, weight, bias), k, 0.0)
    np.testing.assert_array_equal(top.indices.numpy(), indices)
    np.testing.assert_array_equal(top.values.numpy(), values)


def test_most_latents_are_ruled_out(make, oracle):
    x, weight = make.integers(30, 64, most=50), make.integers(3000, 64, most=50)
    top = linear_topk(x, weight, None, 8)
    check(top, x, weight, None, 8, oracle)
    assert 30 * 8 <= top.stats.survivors < 30 * 3000 / 4
    assert top.stats.rows_redone == 0


@pytest.mark.parametrize("depth", [256, 600])
def test_a_long_axis_does_not_make_all_codes_coarse(make, depth):
    x, weight = make.reals(40, depth), make.reals(3000, depth)
    weight[:, 5] *= 8
    x[:, 5] /= 8
    top = linear_topk(x, weight, None, 8)
    assert top.stats.survivors < 8 * 40 * 8
    assert top.stats.rows_redone == 0
    scores = x.double() @ weight.double().T
    torch.testing.assert_close(top.values.double(), scores.topk(8).values, rtol=1e-5, atol=1e-5)


def test_survivors_without_end_make_the_row_redone(make, oracle):
    # All latents are equal, so that none can be ruled out.
    x, weight = make.integers(5, 16) + 100, make.integers(1, 16).abs().repeat(6000, 1)
    top = linear_topk(x, weight, None, 3)
    check(top, x, weight, None, 3, oracle)
    assert top.stats.rows_redone == 5


def test_a_crowd_is_thinned_by_exact_scores(make, oracle):
    x, weight = make.integers(20, 400, most=50), make.integers(1500, 400, most=50)
    top = linear_topk(x, weight, None, 2)
    check(top, x, weight, None, 2, oracle)
    assert top.stats.rows_redone == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e20, 1e-30])
def test_rows_without_a_bound_are_redone(make, value):
    x, weight = make.reals(6, 9), make.reals(500, 9)
    x[2] = value
    top = linear_topk(x, weight, None, 4)
    assert top.stats.rows_redone == 1
    expected = linear_topk(x, weight, None, 4, backend="reference")
    torch.testing.assert_close(top.values, expected.values, equal_nan=True, rtol=1e-5, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e20, 1e-30])
def test_latents_without_a_bound_are_always_scored(make, value):
    x, weight = make.reals(6, 9), make.reals(500, 9)
    weight[77] = value
    top = linear_topk(x, weight, None, 4)
    assert top.stats.rows_redone == 0
    assert top.stats.survivors >= 6
    expected = linear_topk(x, weight, None, 4, backend="reference")
    torch.testing.assert_close(top.values, expected.values, equal_nan=True, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_packed_codes_give_the_same_bits(make, groups):
    x, weight, bias = make.reals(40, 37), make.reals(3 * 101, 37), make.reals(3 * 101)
    packed = pack(weight)
    assert [part.dtype for part in packed.packed] == [torch.int8, torch.float32]
    loose, tight = (linear_topk(x, w, bias, 5, groups=groups) for w in (weight, packed))
    assert torch.equal(loose.indices, tight.indices)
    assert torch.equal(loose.values, tight.values)
    assert loose.stats == tight.stats


def test_long_biases_do_not_hide_small_differences(make):
    x, weight, bias = make.reals(50, 33), make.reals(700, 33), 1e4 * make.reals(700)
    top = linear_topk(x, weight, bias, 6, floor=float("-inf"))
    scores = x.double() @ weight.double().T + bias.double()
    torch.testing.assert_close(top.values.double(), scores.topk(6).values, rtol=1e-6, atol=0)


def test_bounds_cover_a_score_that_rounds_up_at_every_step():
    # Each of the first 32 entries opens one of `dot`'s sums with a product above 2^24, from which
    # float32 cannot take 1. The entries of 32767 make the units of int16 codes 1: those are exact.
    depth = 20_000
    x, weight = torch.ones(1, depth), -torch.ones(1, depth)
    x[0, :32], weight[0, :32] = 4097.0, 4096.0
    x[0, -2:], weight[0, -2:] = torch.tensor([32767.0, 0.0]), torch.tensor([0.0, 32767.0])
    floor = torch.full((1,), float("-inf"))
    bound, score = (
        mutual_topk(x, weight, 1, row_floor=floor, col_floor=floor, exact=exact).row_values.item()
        for exact in (False, True)
    )
    assert score > (x.double() @ weight.double().T).item() + depth / 4
    assert bound >= score


@pytest.fixture
def flushing():
    """Let numbers below 2^-126 count as zero."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush them")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("flushing")
def test_squares_that_count_as_zero_hide_no_latent():
    # With int16 codes in units of 2^-58 each entry of latent 0 leaves 0.03 of a unit, whose square
    # is below 2^-126. Together they make it the best, though latent 1 has the larger codes.
    x, codes = torch.full((1, 1002), 1000.0), torch.full((2, 1002), 100.0)
    x[0, :2], codes[:, :2] = torch.tensor([32767.0, 0.0]), torch.tensor([0.0, 32767.0])
    codes[0, 2:] += 0.03
    codes[1, 2:30] += 1.0
    assert linear_topk(x, codes * 2.0**-58, None, 1).indices.item() == 0


def test_a_price_and_a_margin_that_cancel_hide_no_pair():
    # In float64 (1 + 1e-17) - 1 is 0, and the score is above that, but not above 1e-17.
    a, b = torch.full((1, 1), 5e-9), torch.full((1, 1), 1e-9)
    row_price, col_price = torch.tensor([1.0]).double(), torch.tensor([1e-17]).double()
    pairs = pairs_above(a, b, row_price, col_price, margin=1.0, capacity=1)
    assert pairs.rows.tolist() == pairs.cols.tolist() == [0]


@pytest.mark.parametrize("depth", [64, 3000])
def test_the_largest_sums_do_not_wrap(make, depth):
    weight = make.integers(600, depth, most=1)
    weight[33], weight[44] = 1.0, -1.0  # no products with x are larger
    x = torch.ones(4, depth)
    top = linear_topk(x, weight, None, 1)
    assert top.indices.tolist() == [[33]] * 4
    assert linear_topk(-x, weight, None, 1).indices.tolist() == [[44]] * 4
    assert top.stats.rows_redone == 0


def test_it_is_chosen_where_it_pays(make, monkeypatch):
    monkeypatch.delenv("TWINSAE_CPU_ISA")
    x, weight = make.reals(32, 256), make.reals(4096, 256)
    assert linear_topk(x, weight, None, 4).stats.survivors > 0
    assert linear_topk(x[:31], weight, None, 4).stats.survivors == 0
    assert linear_topk(x[:1], pack(weight), None, 4).stats.survivors > 0
    assert linear_topk(x[:, :60], weight[:, :60], None, 4).stats.survivors == 0
    assert linear_topk(x, weight, None, 1025).stats.survivors == 0


MALFORMED = {
    "x: expected": {"x": np.zeros((2, 5), np.float64)},
    "weight: expected shape": {"weight": np.zeros((8, 4), np.float32)},
    "codes, bounds: expected both": {"codes": np.zeros((1, 2, 16, 32, 4), np.int8)},
    "codes: expected shape": {
        "codes": np.zeros((1, 3, 16, 32, 4), np.int8),
        "bounds": np.zeros((1, _native.BOUNDS_OF_PANEL), np.float32),
    },
    "bias: expected shape": {"bias": np.zeros(7, np.float32)},
    "floor: expected shape": {"floor": np.zeros(3, np.float32)},
    "mask: expected a numpy array of bool": {"mask": np.zeros(8, np.int8)},
    "threads: expected": {"threads": 0},
    "k: expected": {"values": np.zeros((2, 1, 9), np.float32)},
    "multiple of the number of groups": {"values": np.zeros((2, 3, 1), np.float32)},
    "indices: expected shape": {"indices": np.zeros((2, 1, 2), np.int64)},
}


@pytest.mark.parametrize("message", MALFORMED)
def test_malformed_calls_are_refused(message):
    arguments = {
        "x": np.zeros((2, 5), np.float32),
        "weight": np.zeros((8, 5), np.float32),
        "codes": None,
        "bounds": None,
        "bias": None,
        "floor": np.zeros(2, np.float32),
        "mask": None,
        "threads": 1,
        "values": np.zeros((2, 1, 3), np.float32),
        "indices": np.zeros((2, 1, 3), np.int64),
    }
    with pytest.raises(ValueError, match=message):
        _native.linear_topk_codes(**(arguments | MALFORMED[message]))


def test_other_instruction_sets_have_no_codes(monkeypatch):
    monkeypatch.setenv("TWINSAE_CPU_ISA", "avx2")
    codes = np.zeros((1, 3, 16, 32, 4), np.int8)
    bounds = np.zeros((1, _native.BOUNDS_OF_PANEL), np.float32)
    with pytest.raises(ValueError, match="codes: this machine"):
        _native.pack_codes(np.zeros((3, 2), np.float32), 1, codes, bounds)
