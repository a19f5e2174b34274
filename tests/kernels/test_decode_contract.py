"""The contract of sparse_decode and gather_dot, for every backend.

Integer-valued inputs must give equal results. Real-valued results may be off by the rounding of a
float32 sum of n terms: n u / (1 - n u) times the sum of their sizes, see test_topk_contract.py.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.kernels.decode import gather_dot, sparse_decode


def dense(values: Tensor, indices: Tensor, latents: int) -> Tensor:
    """Return (N, L) float64 with the values at their indices; duplicates are added."""
    out = values.new_zeros(indices.shape[0], latents + 1, dtype=torch.float64)
    named = torch.where(indices < 0, latents, indices)
    return out.scatter_add(1, named, values.double())[:, :latents]


SHAPES = [
    (0, 3, 5, 4),
    (1, 1, 1, 1),
    (7, 1, 131, 9),
    pytest.param(33, 13, 8, 132, marks=pytest.mark.first_contact),
    pytest.param(3, 35, 50, 577, marks=pytest.mark.first_contact),
    pytest.param(300, 32, 500, 576, marks=pytest.mark.cpu_sizes),
    (4, 5, 9, 0),
]


@pytest.mark.parametrize(("rows", "k", "latents", "dim"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("with_bias", [False, True])
def test_decode_equals_the_dense_product(
    make: SimpleNamespace, backend: str, rows: int, k: int, latents: int, dim: int,
    dtype: torch.dtype, with_bias: bool,
) -> None:  # fmt: skip
    if dtype == torch.float64:
        backend = "auto"
    values, weight = (
        make.integers(rows, k, dtype=dtype, most=1),
        make.integers(latents, dim, dtype=dtype),
    )
    bias = make.integers(dim, dtype=dtype) if with_bias else None
    indices = make.indices(rows, k, latents)
    out = sparse_decode(values, indices, weight, bias, backend=backend)
    expected = dense(values, indices, latents) @ weight.double()
    expected = expected if bias is None else expected + bias.double()
    assert out.dtype == dtype
    assert torch.equal(out, expected.to(dtype))


@pytest.mark.parametrize(("rows", "k", "latents", "dim"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_gather_dot_equals_the_dense_product(
    make: SimpleNamespace,
    backend: str,
    rows: int,
    k: int,
    latents: int,
    dim: int,
    dtype: torch.dtype,
) -> None:
    if dtype == torch.float64:
        backend = "auto"
    left, weight = (
        make.integers(rows, dim, dtype=dtype, most=1),
        make.integers(latents, dim, dtype=dtype),
    )
    indices = make.indices(rows, k, latents)
    out = gather_dot(left, indices, weight, backend=backend)
    expected = (left.double() @ weight.double().T).gather(1, indices.clamp(min=0)) * (indices >= 0)
    assert out.dtype == dtype
    assert torch.equal(out, expected.to(dtype))


@pytest.mark.parametrize("dim", [5, 63, 576, 2001])
def test_real_values_are_within_the_rounding_of_the_sums(
    make: SimpleNamespace, backend: str, dim: int
) -> None:
    values, weight, bias = make.reals(12, 32), make.reals(200, dim), make.reals(dim)
    left, indices = make.reals(12, dim), make.indices(12, 32, 200)
    out = sparse_decode(values, indices, weight, bias, backend=backend)
    exact = dense(values, indices, 200) @ weight.double() + bias.double()
    size = dense(values.abs(), indices, 200) @ weight.abs().double() + bias.abs().double()
    assert ((out - exact).abs() <= 34 * 2**-24 * size).all()
    dots = gather_dot(left, indices, weight, backend=backend)
    exact = (left.double() @ weight.double().T).gather(1, indices.clamp(min=0)) * (indices >= 0)
    size = (left.abs().double() @ weight.abs().double().T).gather(1, indices.clamp(min=0))
    assert ((dots - exact).abs() <= (dim + 1) * 2**-24 * size).all()


@pytest.mark.first_contact
def test_an_empty_place_touches_nothing(make: SimpleNamespace, backend: str) -> None:
    weight = make.full((3, 4), math.nan)
    weight[1] = 2.0
    indices = make.tensor([[-1, 1], [-1, -1], [1, -1]])
    values = make.tensor([[math.inf, 3.0], [math.nan, math.nan], [1.0, math.nan]])
    out = sparse_decode(values, indices, weight, backend=backend)
    assert out.tolist() == [[6.0] * 4, [0.0] * 4, [2.0] * 4]
    left = make.full((3, 4), math.nan)
    left[2] = 1.0
    dots = gather_dot(left, indices, weight, backend=backend)
    assert torch.equal(dots.isnan(), make.tensor([[False, True], [False, False], [False, False]]))
    assert (dots[indices < 0] == 0).all()
    assert dots[2, 0] == 8


def test_non_finite_numbers_reach_their_own_rows_only(make: SimpleNamespace, backend: str) -> None:
    values, weight = make.integers(30, 4).abs() + 1, make.integers(40, 9)
    weight[3], weight[5] = math.nan, math.inf
    indices = make.indices(30, 4, 40)
    out = sparse_decode(values, indices, weight, backend=backend)
    assert torch.equal(out.isnan().any(1), (indices == 3).any(1))
    assert torch.equal(out.isinf().any(1), (indices == 5).any(1) & ~(indices == 3).any(1))


def test_strides_do_not_matter(make: SimpleNamespace, backend: str) -> None:
    values, weight, bias = make.reals(20, 6), make.reals(50, 12), make.reals(12)
    indices = make.indices(20, 6, 50)
    strided = sparse_decode(
        values.T.contiguous().T, indices.T.contiguous().T, weight.repeat(1, 2)[:, :12],
        bias.repeat_interleave(2)[::2], backend=backend,
    )  # fmt: skip
    assert torch.equal(strided, sparse_decode(values, indices, weight, bias, backend=backend))
    left = make.reals(20, 12)
    dots = gather_dot(left.T.contiguous().T, indices, weight.T.contiguous().T, backend=backend)
    assert torch.equal(dots, gather_dot(left, indices, weight, backend=backend))


@pytest.mark.parametrize(("rows", "k", "dim"), [(1, 3, 40_000), (90, 32, 129)])
def test_bits_do_not_depend_on_the_threads(
    make: SimpleNamespace, backend: str, threads, rows: int, k: int, dim: int
) -> None:
    values, weight, left = make.reals(rows, k), make.reals(60, dim), make.reals(rows, dim)
    indices = make.indices(rows, k, 60)
    results = []
    for count in (1, 2, 3):
        threads(count)
        decoded = sparse_decode(values, indices, weight, backend=backend)
        results.append((decoded, gather_dot(left, indices, weight, backend=backend)))
    for decoded, dots in results[1:]:
        assert torch.equal(decoded, results[0][0])
        assert torch.equal(dots, results[0][1])


@pytest.mark.parametrize("bad", [-2, 5, 2**40, -(2**63)])
def test_an_index_out_of_range_raises(make: SimpleNamespace, backend: str, bad: int) -> None:
    indices = make.tensor([[0, 4], [bad, -1]])
    with pytest.raises(ValueError, match=rf"indices: expected -1 to 4, got {bad}"):
        sparse_decode(make.ones(2, 2), indices, make.ones(5, 3), backend=backend)
    with pytest.raises(ValueError, match=rf"indices: expected -1 to 4, got {bad}"):
        gather_dot(make.ones(2, 3), indices, make.ones(5, 3), backend=backend)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"values": torch.ones(2, 3)}, ValueError, "indices: expected shape"),
        ({"values": torch.ones(2, 2).long()}, TypeError, "values: expected float32"),
        ({"indices": torch.ones(2, 2)}, TypeError, "indices: expected torch.int64"),
        ({"indices": torch.ones(2, 2).int()}, TypeError, "indices: expected torch.int64"),
        ({"weight": torch.ones(5)}, ValueError, "weight: expected 2 dimensions"),
        ({"weight": torch.ones(0, 3)}, ValueError, "weight: expected at least one latent"),
        ({"weight": torch.ones(5, 3).half()}, TypeError, "weight: expected torch.float32"),
        ({"bias": torch.ones(4)}, ValueError, "bias: expected shape"),
        ({"indices": torch.ones(2, 2, device="meta").long()}, ValueError, "indices: .*device"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "values": torch.ones(2, 2), "indices": torch.zeros(2, 2, dtype=torch.int64),
        "weight": torch.ones(5, 3), "bias": torch.ones(3), "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        sparse_decode(**arguments)


def test_wrong_arguments_of_gather_dot_are_named(backend: str) -> None:
    indices = torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"indices: expected shape \(3, 2\)"):
        gather_dot(torch.ones(3, 3), indices, torch.ones(5, 3), backend=backend)
    with pytest.raises(ValueError, match=r"weight: expected shape \(5, 4\)"):
        gather_dot(torch.ones(2, 4), indices, torch.ones(5, 3), backend=backend)


def test_gather_dot_does_not_drop_gradients_silently(make: SimpleNamespace, backend: str) -> None:
    rows = make.ones(2, 3, requires_grad=True)
    dots = gather_dot(rows, make.zeros(2, 2, dtype=torch.int64), make.ones(5, 3), backend=backend)
    with pytest.raises(RuntimeError, match="gather_dot: there is no gradient"):
        dots.sum().backward()
