"""The contract of linear_topk, for every backend.

Integer-valued inputs have dot products that float32 computes exactly in any order, so that indices
must equal those of an independent sort. For real-valued inputs the score of a row x and a latent
(w, b) may be off by the rounding of a float32 sum of D + 1 terms in any order (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1): |error| <= g * (|x| . |w| + |b|) with
g = (D + 1) u / (1 - (D + 1) u), u = 2^-24. A result is right if its values are within that bound
and no latent left out is better than one taken by more than the two bounds together. Errors were at
most 1 % of the bound.
"""

import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels.topk import linear_topk

HALVES = [torch.bfloat16, torch.float16]

INT8_ISAS = ("amx_int8", "avx512_vnni", "avx2_int16")


@pytest.mark.parametrize(
    ("rows", "dim", "latents", "k"),
    [
        (0, 5, 9, 2), (1, 1, 1, 1), (1, 7, 131, 131), (3, 17, 33, 1), (13, 5, 32, 32),
        (70, 3, 65, 64), (12, 0, 10, 3),
        pytest.param(37, 19, 257, 31, marks=pytest.mark.first_contact),
        pytest.param(5, 40, 5000, 16, marks=pytest.mark.cpu_sizes),
        pytest.param(2500, 6, 70, 4, marks=pytest.mark.cpu_sizes),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_bias", [False, True])
def test_indices_equal_a_full_sort(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str,
    rows: int, dim: int, latents: int, k: int, with_bias: bool,
) -> None:  # fmt: skip
    x, weight = make.integers(rows, dim), make.integers(latents, dim)
    bias = make.integers(latents) if with_bias else None
    top = linear_topk(x, weight, bias, k, backend=backend)
    values, indices = oracle.topk(oracle.scores(x, weight, bias), k, 0.0)
    assert top.values.dtype == torch.float32
    assert top.indices.dtype == torch.int64
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    np.testing.assert_array_equal(top.values.cpu().numpy(), values)
    survivors, redone = (int(count) for count in top.stats)
    if backend == "triton":  # scans in half precision, scores proposals and some rows in float32
        assert 0 <= survivors <= rows * latents
        assert 0 <= redone <= rows
    elif os.environ.get("TWINSAE_CPU_ISA") in INT8_ISAS and dim:  # does not score all pairs
        assert (indices >= 0).sum() <= survivors + redone * latents <= rows * latents
    else:
        assert (survivors, redone) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "dim", "latents", "k"),
    [pytest.param(40, 576, 2100, 32, marks=pytest.mark.cpu_sizes), (9, 1025, 300, 7)],
)
def test_real_values_are_within_the_rounding_of_a_dot_product(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str,
    rows: int, dim: int, latents: int, k: int,
) -> None:  # fmt: skip
    x, weight, bias = make.reals(rows, dim), make.reals(latents, dim), make.reals(latents)
    top = linear_topk(x, weight, bias, k, backend=backend)
    exact = oracle.scores(x, weight, bias)
    size = oracle.scores(x.abs(), weight.abs(), bias.abs())
    unit = (dim + 1) * 2.0**-24
    bound = unit / (1 - unit) * size
    indices, values = top.indices.cpu().numpy(), top.values.cpu().numpy()
    assert (indices >= 0).all()
    assert all(len(set(row)) == k for row in indices)
    taken = np.take_along_axis(exact, indices, 1)
    slack = np.take_along_axis(bound, indices, 1)
    assert (np.abs(values - taken) <= slack).all()
    assert (np.diff(values) <= 0).all()
    left_out = exact - bound
    np.put_along_axis(left_out, indices, -np.inf, 1)
    assert (left_out.max(1) <= (taken + slack).min(1)).all()


@pytest.mark.first_contact
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_ranked_in_float32(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, dtype: torch.dtype
) -> None:
    # Scores are up to 2,000: many differ in float32 and are equal in bfloat16.
    x, weight = (
        make.integers(11, 40, dtype=dtype, most=7),
        make.integers(500, 40, dtype=dtype, most=7),
    )
    top = linear_topk(x, weight, None, 20, backend=backend)
    values, indices = oracle.topk(oracle.scores(x, weight, None), 20, 0.0)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    assert torch.equal(top.values, make.given(values).to(dtype))


def test_float64_is_served_by_the_reference(make: SimpleNamespace, oracle: SimpleNamespace) -> None:
    x, weight = make.reals(9, 13, dtype=torch.float64), make.reals(77, 13, dtype=torch.float64)
    weight[40] = weight[20] * (1 + 1e-12)  # float32 does not resolve it
    top = linear_topk(x, weight, None, 77, floor=-math.inf)
    values, indices = oracle.topk(oracle.scores(x, weight, None), 77, -math.inf)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    np.testing.assert_allclose(top.values.cpu().numpy(), values, rtol=1e-12)


@pytest.mark.first_contact
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("k", [1, 40])
def test_ties_everywhere_go_to_the_lower_index(
    make: SimpleNamespace, backend: str, k: int, dtype: torch.dtype
) -> None:
    x, weight = make.ones(3, 4, dtype=dtype), make.ones(2500, 4, dtype=dtype)
    top = linear_topk(x, weight, None, k, backend=backend)
    assert torch.equal(top.indices, make.arange(k).expand(3, k))
    assert (top.values == 4).all()


def test_a_zero_and_a_negative_zero_tie(make: SimpleNamespace, backend: str) -> None:
    weight = make.tensor([[-0.0], [0.0], [-1.0], [0.0], [-0.0]])
    bias = make.tensor([-0.0, 0.0, 0.0, -0.0, -0.0])
    top = linear_topk(make.ones(1, 1), weight, bias, 4, floor=-0.5, backend=backend)
    assert top.indices.tolist() == [[0, 1, 3, 4]]


def test_nothing_is_found_below_the_floor(make: SimpleNamespace, backend: str) -> None:
    x = make.integers(6, 9)
    all_negative = linear_topk(x, make.zeros(50, 9), -make.ones(50), 7, backend=backend)
    zero_rows = linear_topk(make.zeros(6, 9), make.integers(50, 9), None, 7, backend=backend)
    for top in (all_negative, zero_rows):
        assert (top.values == 0).all()
        assert (top.indices == -1).all()


def test_missing_places_come_last(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str
) -> None:
    x, weight, bias = make.integers(8, 4), make.integers(90, 4), make.full((90,), -20.0)
    bias += make.arange(90) % 30
    top = linear_topk(x, weight, bias, 40, backend=backend)
    values, indices = oracle.topk(oracle.scores(x, weight, bias), 40, 0.0)
    assert 0 < (indices == -1).mean() < 1
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    np.testing.assert_array_equal(top.values.cpu().numpy(), values)


@pytest.mark.parametrize("floor", [2.0, -3.0, -math.inf, math.inf, 1e9])
def test_scalar_floor_is_strict(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, floor: float
) -> None:
    x, weight = make.integers(10, 3), make.integers(45, 3)
    top = linear_topk(x, weight, None, 45, floor=floor, backend=backend)
    _, indices = oracle.topk(oracle.scores(x, weight, None), 45, floor)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)


@pytest.mark.first_contact
def test_floor_of_each_row(make: SimpleNamespace, oracle: SimpleNamespace, backend: str) -> None:
    x, weight = make.integers(6, 3), make.integers(64, 3)
    floor = make.tensor([0.0, 4.0, -4.0, -math.inf, math.inf, math.nan])
    top = linear_topk(x, weight, None, 33, floor=floor, backend=backend)
    # No score is above NaN, as none is above infinity.
    limits = np.array([0.0, 4.0, -4.0, -np.inf, np.inf, np.inf])
    _, indices = oracle.topk(oracle.scores(x, weight, None), 33, limits)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)


@pytest.mark.parametrize(
    "share", [0.0, 0.02, pytest.param(0.5, marks=pytest.mark.first_contact), 1.0]
)
def test_only_masked_in_latents_are_eligible(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, share: float
) -> None:
    x, weight, bias = make.integers(9, 5), make.integers(400, 5), make.integers(400)
    mask = make.arange(400) % 100 < share * 100
    top = linear_topk(x, weight, bias, 21, mask=mask, backend=backend)
    _, indices = oracle.topk(oracle.scores(x, weight, bias), 21, 0.0, mask.cpu().numpy())
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)


@pytest.mark.parametrize(
    ("dim", "latents"),
    [
        pytest.param(17, 96, marks=pytest.mark.first_contact), (576, 33), (70, 300), (1, 257),
        pytest.param(1, 2100, marks=pytest.mark.cpu_sizes),
        pytest.param(576, 2100, marks=pytest.mark.cpu_sizes),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_mask", [False, True])
def test_groups_have_the_bits_of_lone_calls(
    make: SimpleNamespace, backend: str, dim: int, latents: int, with_mask: bool
) -> None:
    x, weight = make.reals(15, dim), make.reals(3 * latents, dim)
    bias = make.reals(3 * latents)
    mask = make.reals(3 * latents) > 0 if with_mask else None
    stacked = linear_topk(x, weight, bias, 8, groups=3, mask=mask, backend=backend)
    assert stacked.values.shape == (15, 3, 8)
    for group in range(3):
        own = slice(group * latents, (group + 1) * latents)
        own_mask = None if mask is None else mask[own].clone()
        alone = linear_topk(
            x, weight[own].clone(), bias[own].clone(), 8, mask=own_mask, backend=backend
        )
        assert torch.equal(stacked.values[:, group], alone.values)
        assert torch.equal(stacked.indices[:, group], alone.indices)


def test_strides_do_not_matter(make: SimpleNamespace, backend: str) -> None:
    x, weight, bias = make.reals(20, 12), make.reals(150, 12), make.reals(150)
    mask, floor = make.reals(150) > -1, make.reals(20)
    strided = linear_topk(
        x.T.contiguous().T, weight.repeat(1, 2)[:, :12], bias.repeat_interleave(2)[::2], 9,
        mask=mask.repeat_interleave(2)[::2], floor=floor.repeat_interleave(2)[::2], backend=backend,
    )  # fmt: skip
    plain = linear_topk(x, weight, bias, 9, mask=mask, floor=floor, backend=backend)
    assert torch.equal(strided.values, plain.values)
    assert torch.equal(strided.indices, plain.indices)


@pytest.mark.parametrize(
    "bad", [pytest.param(math.nan, marks=pytest.mark.first_contact), math.inf, -math.inf]
)
@pytest.mark.parametrize("where", ["x", "weight", "bias"])
def test_non_finite_numbers(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, bad: float, where: str
) -> None:
    # NaN ranks first (of several, the lower index), then infinity; -inf is never eligible.
    inputs = {"x": make.integers(8, 5), "weight": make.integers(300, 5), "bias": make.integers(300)}
    inputs[where][3::4] = bad
    top = linear_topk(*inputs.values(), 300, floor=-math.inf, backend=backend)
    values, indices = oracle.topk(oracle.scores(*inputs.values()), 300, -math.inf)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    np.testing.assert_array_equal(top.values.cpu().numpy(), values)


def test_a_nan_score_is_returned_above_any_floor_but_not_through_the_mask(
    make: SimpleNamespace, backend: str
) -> None:
    weight = make.tensor([[1.0], [math.nan], [2.0], [math.nan]])
    mask = make.tensor([True, False, True, True])
    top = linear_topk(make.ones(1, 1), weight, None, 2, floor=math.inf, mask=mask, backend=backend)
    assert top.indices.tolist() == [[3, -1]]
    assert top.values[0, 0].isnan()


@pytest.mark.first_contact
def test_a_row_full_of_nan(make: SimpleNamespace, backend: str) -> None:
    x = make.tensor([[math.nan], [1.0]])
    weight = make.ones(2100, 1)
    weight[2099] = math.inf
    top = linear_topk(x, weight, None, 3, backend=backend)
    assert top.indices.tolist() == [[0, 1, 2], [2099, 0, 1]]


@pytest.mark.parametrize(
    ("rows", "dim", "latents"),
    [(1, 4096, 64), (64, 4096, 64), (300, 1000, 700), (48, 4096, 2048), (5, 33, 131)],
)
def test_bits_do_not_depend_on_the_threads(
    make: SimpleNamespace, backend: str, threads, rows: int, dim: int, latents: int
) -> None:
    # At these shapes the bits of torch's own float32 product depend on the threads, with MKL.
    x, weight, bias = make.reals(rows, dim), make.reals(latents, dim), make.reals(latents)
    results = []
    for count in (1, 2, 3, 2):
        threads(count)
        results.append(linear_topk(x, weight, bias, 20, floor=-math.inf, backend=backend))
        assert torch.get_num_threads() == count
    for other in results[1:]:
        assert torch.equal(results[0].values, other.values)
        assert torch.equal(results[0].indices, other.indices)


def test_settings_of_torch_do_not_make_it_less_exact(make: SimpleNamespace, backend: str) -> None:
    x, weight = make.reals(64, 256), make.reals(128, 256)
    plain = linear_topk(x, weight, None, 10, backend=backend)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast(make.device.type, dtype=torch.bfloat16):
            fast = linear_topk(x, weight, None, 10, backend=backend)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(fast.values, plain.values)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"x": torch.ones(3)}, ValueError, "x: expected 2 dimensions"),
        ({"x": [1.0]}, TypeError, "x: expected a tensor"),
        ({"x": torch.ones(3, 4, dtype=torch.int32)}, TypeError, "x: expected float32"),
        ({"x": torch.ones(3, 4).to_sparse()}, TypeError, "x: expected a dense tensor"),
        ({"x": torch.ones(3, 5)}, ValueError, r"weight: expected shape \(10, 5\)"),
        ({"weight": torch.ones(10, 4).half()}, TypeError, "weight: expected torch.float32"),
        ({"weight": torch.ones(10, 4, device="meta")}, ValueError, "weight: expected device cpu"),
        ({"bias": torch.ones(9)}, ValueError, "bias: expected shape"),
        ({"bias": torch.ones(10).double()}, TypeError, "bias: expected torch.float32"),
        ({"mask": torch.ones(10)}, TypeError, "mask: expected torch.bool"),
        ({"mask": torch.ones(9, dtype=torch.bool)}, ValueError, "mask: expected shape"),
        ({"floor": torch.ones(4)}, ValueError, "floor: expected shape"),
        ({"floor": torch.ones(3, dtype=torch.int64)}, TypeError, "floor: expected float32"),
        ({"floor": math.nan}, ValueError, "floor: expected a number"),
        ({"k": 0}, ValueError, "k: expected 1 to 10"),
        ({"k": 11}, ValueError, "k: expected 1 to 10"),
        ({"k": 6, "groups": 2}, ValueError, "k: expected 1 to 5"),
        ({"groups": 3}, ValueError, "groups: expected a divisor"),
        ({"groups": 0}, ValueError, "groups: expected a divisor"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "x": torch.ones(3, 4), "weight": torch.ones(10, 4), "bias": torch.ones(10), "k": 2,
        "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        linear_topk(**arguments)
