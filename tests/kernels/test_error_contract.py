"""The contract of decode_error, for every backend; bounds as in test_decode_contract.py."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.kernels.decode import DecodedError, decode_error, gather_dot, sparse_decode


def expected(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    scale: float,
) -> DecodedError:
    """Compute it by dense float64 products and autograd of the loss scale / 2 * sum(e ** 2)."""
    codes = values.double().requires_grad_()
    named = torch.where(indices < 0, len(weight), indices)
    zeros = codes.new_zeros(len(indices), len(weight) + 1)
    decoded = zeros.scatter_add(1, named, codes)[:, : len(weight)] @ weight.double()
    decoded = decoded if bias is None else decoded + bias.double()
    error = decoded - target.double()
    loss = scale / 2 * error.square().sum()
    (d_values,) = torch.autograd.grad(loss, codes)
    return DecodedError(error.detach().square().sum(1), scale * error.detach(), d_values)


def some(make: SimpleNamespace, rows: int, k: int, latents: int, dim: int, kind: str, **options):
    build = getattr(make, kind)
    indices = make.indices(rows, k, latents)
    shapes = (rows, k), (latents, dim), (dim,), (rows, dim)
    values, weight, bias, target = (build(*shape, **options) for shape in shapes)
    return values, indices, weight, bias, target


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@pytest.mark.parametrize(
    ("rows", "k", "latents", "dim"),
    [(0, 3, 5, 4), (1, 1, 1, 1), (7, 1, 131, 9), (33, 13, 8, 131), (4, 0, 9, 3), (3, 2, 5, 0),
     pytest.param(9, 5, 7, 577, marks=pytest.mark.first_contact)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("with_bias", [False, True])
def test_equal_to_autograd_of_dense_products(
    make: SimpleNamespace, backend: str, rows: int, k: int, latents: int, dim: int,
    dtype: torch.dtype, with_bias: bool,
) -> None:  # fmt: skip
    backend = "auto" if dtype == torch.float64 else backend
    inputs = some(make, rows, k, latents, dim, "integers", dtype=dtype, most=1)
    if not with_bias:
        inputs = (*inputs[:3], None, inputs[4])
    scale = make.tensor(-0.25, dtype=sum_dtype(dtype))
    result = decode_error(*inputs, scale, backend=backend)
    exact = expected(*inputs, -0.25)
    assert [t.dtype for t in result] == [sum_dtype(dtype), dtype, dtype]
    for ours, theirs in zip(result, exact, strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))


@pytest.mark.parametrize("dim", [5, 63, 576, 2001])
def test_real_values_are_within_the_rounding_of_the_sums(
    make: SimpleNamespace, backend: str, dim: int
) -> None:
    values, indices, weight, bias, target = some(make, 12, 32, 200, dim, "reals")
    scale = make.tensor(0.7)
    result = decode_error(values, indices, weight, bias, target, scale, backend=backend)
    exact = expected(values, indices, weight, bias, target, scale.double().item())
    u = 2.0**-24
    sizes = values.abs(), indices, weight.abs(), bias.abs(), -target.abs()
    off = 36 * u * expected(*sizes, 1.0).g  # a sum of 34 terms, with the scaling
    assert ((result.g - exact.g).abs() <= 0.7 * off).all()
    error = exact.g.abs() / 0.7
    allowed = 2 * (error * off).sum(1) + off.square().sum(1) + (dim + 1) * u * exact.squares * 1.01
    assert ((result.squares - exact.squares).abs() <= allowed).all()
    # d_values are the dot products of our own g, exact except for the rounding of a sum of D terms.
    picked = weight.double()[indices.clamp(min=0)] * (indices >= 0)[..., None]
    dots = (picked * result.g.double()[:, None]).sum(2)
    size = (picked.abs() * result.g.double().abs()[:, None]).sum(2)
    assert ((result.d_values - dots).abs() <= (dim + 1) * u * size).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_bits_are_those_of_the_separate_functions(
    make: SimpleNamespace, backend: str, dtype: torch.dtype, with_bias: bool
) -> None:
    backend = "auto" if dtype == torch.float64 else backend
    values, indices, weight, bias, target = some(make, 9, 35, 60, 131, "reals", dtype=dtype)
    bias = bias if with_bias else None
    scale = make.tensor(1 / 3, dtype=dtype)
    result = decode_error(values, indices, weight, bias, target, scale, backend=backend)
    g = (sparse_decode(values, indices, weight, bias, backend=backend) - target) * scale
    assert torch.equal(result.g, g)
    assert torch.equal(result.d_values, gather_dot(g, indices, weight, backend=backend))


@pytest.mark.first_contact
def test_an_empty_place_touches_nothing(make: SimpleNamespace, backend: str) -> None:
    weight = make.full((3, 4), math.nan)
    weight[1] = 2.0
    indices = make.tensor([[-1, 1], [-1, -1]])
    values = make.tensor([[math.inf, 3.0], [math.nan, math.nan]])
    result = decode_error(
        values, indices, weight, None, make.ones(2, 4), make.tensor(2.0), backend=backend
    )
    assert result.squares.tolist() == [100.0, 4.0]
    assert result.g.tolist() == [[10.0] * 4, [-2.0] * 4]
    assert result.d_values.tolist() == [[0.0, 80.0], [0.0, 0.0]]


def test_non_finite_numbers_reach_their_own_rows_only(make: SimpleNamespace, backend: str) -> None:
    values, indices, weight, bias, target = some(make, 30, 4, 40, 9, "integers")
    values = values.abs() + 1
    weight[3], target[7, 2], target[8, 0] = math.nan, math.inf, math.nan
    result = decode_error(values, indices, weight, bias, target, make.tensor(1.0), backend=backend)
    nan = (indices == 3).any(1)
    nan[8] = True
    assert torch.equal(result.squares.isnan(), nan)
    assert torch.equal(result.g.isnan().any(1), nan)
    assert result.squares[7] == math.inf or nan[7]
    finite = ~nan
    finite[7] = False
    assert result.d_values[finite].isfinite().all()


def test_strides_do_not_matter(make: SimpleNamespace, backend: str) -> None:
    inputs = some(make, 20, 6, 50, 12, "reals")
    values, indices, weight, bias, target = inputs
    strided = (
        values.T.contiguous().T, indices.T.contiguous().T, weight.repeat(1, 2)[:, :12],
        bias.repeat_interleave(2)[::2], target.T.contiguous().T,
    )  # fmt: skip
    scale = make.tensor(2.0)
    plain = decode_error(*inputs, scale, backend=backend)
    for ours, theirs in zip(decode_error(*strided, scale, backend=backend), plain, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("rows", "k", "dim"), [(1, 3, 40_000), (90, 32, 129)])
def test_bits_do_not_depend_on_the_threads(
    make: SimpleNamespace, backend: str, threads, rows: int, k: int, dim: int
) -> None:
    inputs = some(make, rows, k, 60, dim, "reals")
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(decode_error(*inputs, make.tensor(0.3), backend=backend))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"values": torch.ones(2, 3)}, ValueError, "indices: expected shape"),
        ({"values": torch.ones(2, 2).long()}, TypeError, "values: expected float32"),
        ({"indices": torch.ones(2, 2)}, TypeError, "indices: expected torch.int64"),
        ({"indices": torch.tensor([[0, 1], [5, 0]])}, ValueError, "expected -1 to 4, got 5"),
        ({"indices": torch.tensor([[0, 1], [-2, 0]])}, ValueError, "expected -1 to 4, got -2"),
        ({"weight": torch.ones(0, 3)}, ValueError, "weight: expected at least one latent"),
        ({"weight": torch.ones(5, 3).half()}, TypeError, "weight: expected torch.float32"),
        ({"bias": torch.ones(4)}, ValueError, "bias: expected shape"),
        ({"target": torch.ones(2, 4)}, ValueError, r"target: expected shape \(2, 3\)"),
        ({"target": torch.ones(2, 3).half()}, TypeError, "target: expected torch.float32"),
        ({"scale": torch.ones(1)}, ValueError, "scale: expected"),
        ({"scale": 2.0}, TypeError, "scale: expected a tensor"),
        ({"scale": torch.tensor(2.0).double()}, TypeError, "scale: expected torch.float32"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "values": torch.ones(2, 2), "indices": torch.zeros(2, 2, dtype=torch.int64),
        "weight": torch.ones(5, 3), "bias": torch.ones(3), "target": torch.ones(2, 3),
        "scale": torch.tensor(2.0), "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        decode_error(**arguments)


def test_gradients_are_not_dropped_silently(make: SimpleNamespace, backend: str) -> None:
    values = make.ones(2, 2, requires_grad=True)
    result = decode_error(
        values, make.zeros(2, 2, dtype=torch.int64), make.ones(5, 3), None, make.ones(2, 3),
        make.tensor(1.0), backend=backend,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="decode_error: there is no gradient"):
        result.squares.sum().backward()
