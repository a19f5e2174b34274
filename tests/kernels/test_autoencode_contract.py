"""The contract of topk_autoencode, for every backend.

Integer-valued inputs must give equal results. Real-valued ones have the bounds of
test_topk_contract.py, and gradients the bound of test_topk_gradients.py: 4 times the error of the
same dense model in float32, plus an ulp.
"""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.kernels.autoencode import Autoencoded, topk_autoencode
from twinsae.kernels.decode import decode_error, sparse_decode
from twinsae.kernels.topk import linear_topk, pack

U = 2.0**-24
NAMES = "x", "W_enc", "b_enc", "W_dec", "b_dec"


def some(build: Callable[..., Tensor], rows: int, dim: int, latents: int, **options) -> tuple:
    shapes = (rows, dim), (latents, dim), (latents,), (latents, dim), (dim,)
    return tuple(build(*shape, **options) for shape in shapes)


def wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def decoded(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, D) float64, by a dense product."""
    codes = values.new_zeros(len(values), len(weight) + 1, dtype=torch.float64)
    codes.scatter_(1, torch.where(indices < 0, len(weight), indices), values.double())
    recon = codes[:, :-1] @ weight.double()
    return recon if bias is None else recon + bias.double()


def deviations_of(x: Tensor) -> Tensor:
    return (x.double() - x.double().mean(0)).square().sum(1)


# The numbers of rows divide integers exactly. Some k are the number of latents.
@pytest.mark.parametrize(
    ("rows", "dim", "latents", "k"),
    [
        (0, 4, 5, 3),
        (1, 1, 1, 1),
        (8, 9, 131, 1),
        (4, 0, 9, 5),
        (2, 131, 17, 17),
        pytest.param(8, 65, 500, 33, marks=pytest.mark.first_contact),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("with_biases", [False, True])
def test_equal_to_a_full_sort_and_a_dense_product(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, rows: int, dim: int,
    latents: int, k: int, dtype: torch.dtype, with_biases: bool,
) -> None:  # fmt: skip
    backend = "auto" if dtype == torch.float64 else backend
    x, W_enc, b_enc, W_dec, b_dec = some(
        make.integers, rows, dim, latents, dtype=dtype, most=1
    )  # fmt: skip
    if not with_biases:
        b_enc = b_dec = None
    result = topk_autoencode(x, W_enc, b_enc, W_dec, b_dec, k, backend=backend)
    values, indices = oracle.topk(oracle.scores(x, W_enc, b_enc), k, 0.0)
    np.testing.assert_array_equal(result.indices.cpu().numpy(), indices)
    np.testing.assert_array_equal(result.values.double().cpu().numpy(), values)
    recon = decoded(result.values, result.indices, W_dec, b_dec)
    assert torch.equal(result.recon, recon.to(dtype))
    assert torch.equal(result.squares, (recon - x.double()).square().sum(1).to(wide(dtype)))
    assert torch.equal(result.deviations, deviations_of(x).to(wide(dtype)))
    assert [t.dtype for t in result[:3]] == [dtype, dtype, torch.int64]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize(("rows", "k"), [(7, 35), (5, 1)])
def test_the_bits_are_those_of_the_separate_functions(
    make: SimpleNamespace, backend: str, dtype: torch.dtype, rows: int, k: int
) -> None:
    backend = "auto" if dtype == torch.float64 else backend
    x, W_enc, b_enc, W_dec, b_dec = some(make.reals, rows, 131, 80, dtype=dtype)
    result = topk_autoencode(x, W_enc, b_enc, W_dec, b_dec, k, backend=backend)
    top = linear_topk(x, W_enc, b_enc, k, backend=backend)
    one = make.ones((), dtype=wide(dtype))
    error = decode_error(top.values, top.indices, W_dec, b_dec, x, one, backend=backend)
    recon = sparse_decode(top.values, top.indices, W_dec, b_dec, backend=backend)
    for ours, theirs in (
        (result.values, top.values), (result.indices, top.indices), (result.recon, recon),
        (result.squares, error.squares), (result.stats.rows_redone, top.stats.rows_redone),
    ):  # fmt: skip
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("rows", "dim"), [(1, 5), (13, 63), (7, 577), (3, 2001)])
def test_sums_are_within_the_rounding_of_their_terms(
    make: SimpleNamespace, backend: str, rows: int, dim: int
) -> None:
    x, *parameters = some(make.reals, rows, dim, 90)
    x += 3  # so that the mean is far from 0
    result = topk_autoencode(x, *parameters, 7, backend=backend)
    exact = (result.recon.double() - x.double()).square().sum(1)
    assert ((result.squares - exact).abs() <= (dim + 4) * U * exact).all()
    away = (x.double() - x.double().mean(0)).abs()
    off = (rows + 2) * U * x.abs().double().mean(0) + U * away  # the mean's error, the difference's
    allowed = 2 * (away * off).sum(1) + off.square().sum(1) + (dim + 2) * U * deviations_of(x)
    assert ((result.deviations - deviations_of(x)).abs() <= 1.01 * allowed).all()
    fvu = exact.sum() / deviations_of(x).sum()
    if rows > 1:
        assert result.fvu.item() == pytest.approx(fvu.item(), rel=1e-4)


@pytest.mark.parametrize("positives", [0, pytest.param(1, marks=pytest.mark.first_contact), 4])
def test_missing_places_add_nothing_and_get_no_gradient(
    make: SimpleNamespace, backend: str, positives: int
) -> None:
    # There are fewer than k = 5 positive scores, and the decoder is NaN where no latent is active.
    x, W_enc = make.ones(3, 4), make.full((20, 4), -1.0)
    active = slice(7, 7 + positives)
    W_enc[active] = make.integers(positives, 4).abs() + 1
    W_dec, b_dec = make.full((20, 4), math.nan), make.integers(4)
    W_dec[active] = make.integers(positives, 4).float()
    leaves = [t.requires_grad_() for t in (x, W_enc, make.zeros(20), W_dec, b_dec)]
    result = topk_autoencode(*leaves, 5, backend=backend)
    assert (result.indices >= 0).sum(1).tolist() == [positives] * 3
    assert (result.values[:, positives:] == 0).all()
    codes = x.double() @ W_enc[active].double().T
    recon = codes @ W_dec[active].double() + b_dec.double()
    assert torch.equal(result.recon.double(), recon)
    loss = result.recon.sum() + result.squares.sum() + (result.values * make.reals(3, 5)).sum()
    dx, dW_enc, db_enc, dW_dec, _ = torch.autograd.grad(loss, leaves)
    others = make.ones(20, dtype=torch.bool)
    others[active] = False
    assert dx.isfinite().all()
    assert (dW_enc[others] == 0).all()
    assert (db_enc[others] == 0).all()
    assert (dW_dec[others] == 0).all()
    assert (dW_enc[active] != 0).any(1).all()


@pytest.mark.first_contact
def test_non_finite_numbers_reach_their_own_rows_only(make: SimpleNamespace, backend: str) -> None:
    x, W_enc, b_enc, W_dec, b_dec = some(make.integers, 9, 6, 50)
    x[3, 1], x[5, 0] = math.nan, math.inf
    result = topk_autoencode(x, W_enc, b_enc, W_dec, b_dec, 4, backend=backend)
    assert result.values[3].isnan().all()
    assert result.indices[3].tolist() == [0, 1, 2, 3]  # a NaN score ranks first
    fine = make.tensor([row not in (3, 5) for row in range(9)])
    assert not result.squares[~fine].isfinite().any()
    alone = topk_autoencode(x[fine], W_enc, b_enc, W_dec, b_dec, 4, backend=backend)
    assert torch.equal(result.recon[fine], alone.recon)
    assert torch.equal(result.squares[fine], alone.squares)


def test_an_output_that_is_not_used_spreads_no_nan(make: SimpleNamespace, backend: str) -> None:
    # The mean of x is NaN, and so are all deviations and the squares of row 3.
    given = some(make.integers, 9, 6, 50)
    given[0][3, 1] = math.nan
    leaves = [t.requires_grad_() for t in given]
    result = topk_autoencode(*leaves, 4, backend=backend)
    fine = make.arange(9) != 3
    found = torch.autograd.grad((result.values[fine] ** 2).sum(), leaves, allow_unused=True)
    assert found[0][fine].isfinite().all()
    assert (found[0][fine] != 0).any()
    assert found[3] is None
    assert found[4] is None


def test_strides_do_not_matter(make: SimpleNamespace, backend: str) -> None:
    x, W_enc, b_enc, W_dec, b_dec = some(make.reals, 7, 12, 50)
    plain = topk_autoencode(x, W_enc, b_enc, W_dec, b_dec, 6, backend=backend)
    strided = topk_autoencode(
        x.T.contiguous().T, W_enc.repeat(1, 2)[:, :12], b_enc.repeat_interleave(2)[::2],
        W_dec.T.contiguous().T, b_dec.repeat_interleave(2)[::2], 6, backend=backend,
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(plain[:5], strided[:5], strict=True))


@pytest.mark.parametrize(("rows", "dim", "k"), [(1, 40_000, 3), (90, 129, 32), (40_000, 1, 1)])
def test_bits_do_not_depend_on_the_threads(
    make: SimpleNamespace, backend: str, threads, rows: int, dim: int, k: int
) -> None:
    inputs = some(make.reals, rows, dim, 33)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(topk_autoencode(*inputs, k, backend=backend))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][:5], other[:5], strict=True))


def test_a_packed_encoder_gives_the_same_bits_and_no_gradient(
    make: SimpleNamespace, backend: str
) -> None:
    x, W_enc, b_enc, W_dec, b_dec = some(make.reals, 9, 33, 100)
    packed = pack(W_enc)
    x.requires_grad_(), W_dec.requires_grad_()
    results = [
        topk_autoencode(x, weight, b_enc, W_dec, b_dec, 6, backend=backend)
        for weight in (W_enc, packed)
    ]
    grads = [torch.autograd.grad(r.squares.sum(), (x, W_dec)) for r in results]
    for ours, theirs in zip(
        (*results[0][:5], *grads[0]), (*results[1][:5], *grads[1]), strict=True
    ):
        assert torch.equal(ours, theirs)
    W_enc.requires_grad_()
    with pytest.raises(ValueError, match="W_enc: a packed weight gets no gradient"):
        topk_autoencode(x, packed, b_enc, W_dec, b_dec, 6, backend=backend)


def dense_autoencode(
    x: Tensor, W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor, k: int
) -> tuple[Tensor, ...]:
    """Return recon, values, squares and deviations by dense products; the indices are given."""
    scores = x @ W_enc.T + b_enc
    values, indices = torch.relu(scores).topk(k, dim=1)
    recon = torch.zeros_like(scores).scatter(1, indices, values) @ W_dec + b_dec
    return (
        recon,
        values,
        (recon - x).square().sum(1),
        (x - x.mean(0)).square().sum(1),
    )


LOSSES: dict[str, Callable[..., Tensor]] = {
    "recon": lambda recon, _, __, ___, pull: (recon * pull).sum(),
    "values": lambda _, values, __, ___, ____: values.square().sum(),
    "squares": lambda _, __, squares, ___, pull: (squares * pull[:, 0]).sum(),
    "deviations": lambda _, __, ___, deviations, pull: (deviations * pull[:, 0]).sum(),
    "fvu and l1": lambda _, values, squares, deviations, __: (
        squares.sum() / deviations.sum() + values.sum() / 100
    ),
    "all": lambda recon, values, squares, deviations, pull: (
        (recon * pull).sum() + values.square().sum() + (squares * deviations).sum() / 50
    ),
}


def parts(result: Autoencoded) -> tuple[Tensor, ...]:
    return result.recon, result.values, result.squares, result.deviations


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize(
    ("rows", "dim", "latents", "k"),
    [pytest.param(11, 19, 67, 5, marks=pytest.mark.first_contact), (6, 7, 40, 1)],
)
def test_gradients_against_dense_autograd(
    make: SimpleNamespace, backend: str, loss: str, rows: int, dim: int, latents: int, k: int
) -> None:
    given = [t.double() for t in some(make.reals, rows, dim, latents)]
    pull = make.reals(rows, dim).double()

    def grads(model: Callable[..., tuple[Tensor, ...]], dtype: torch.dtype) -> tuple:
        leaves = [t.to(dtype).requires_grad_() for t in given]
        value = LOSSES[loss](*model(*leaves, k), pull.to(dtype))
        return torch.autograd.grad(value, leaves, allow_unused=True)

    exact, eager = grads(dense_autoencode, torch.float64), grads(dense_autoencode, torch.float32)
    ours = grads(
        lambda *inputs: parts(topk_autoencode(*inputs, backend=backend)), torch.float32
    )  # fmt: skip
    for name, found, right, rounded in zip(NAMES, ours, exact, eager, strict=True):
        if right is None:
            assert found is None, name
            continue
        largest = right.abs().max()
        assert largest > 0, name
        allowed = 4 * (rounded - right).abs().max() + largest * 2**-23
        assert (found - right).abs().max() <= allowed, name


def test_gradcheck_of_the_reference(make: SimpleNamespace) -> None:
    leaves = [t.requires_grad_() for t in some(make.reals, 5, 3, 12, dtype=torch.float64)]
    b_enc = leaves[2]
    with torch.no_grad():
        b_enc -= 2  # so that some places are missing

    def autoencode(*inputs: Tensor) -> tuple[Tensor, ...]:
        return parts(topk_autoencode(*inputs, 4, backend="reference"))

    assert (topk_autoencode(*leaves, 4).indices < 0).any()
    assert torch.autograd.gradcheck(autoencode, leaves)


@pytest.mark.first_contact
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gradients_have_the_parameters_dtype(
    make: SimpleNamespace, backend: str, dtype: torch.dtype
) -> None:
    given = some(make.integers, 8, 5, 40, dtype=dtype, most=1)
    leaves = [t.requires_grad_() for t in given]
    result = topk_autoencode(*leaves, 3, backend=backend)
    found = torch.autograd.grad(result.recon.sum() + result.squares.sum(), leaves)
    x, W_enc, b_enc, W_dec, b_dec = wide_leaves = [t.detach().double() for t in given]
    for leaf in wide_leaves:
        leaf.requires_grad_()
    there = result.indices >= 0
    named = result.indices.clamp(min=0)
    codes = (x @ W_enc.T + b_enc).gather(1, named) * there
    recon = torch.einsum("nk,nkd->nd", codes, W_dec[named]) + b_dec
    loss = recon.sum() + (recon - x).square().sum()
    for ours, theirs in zip(found, torch.autograd.grad(loss, wide_leaves), strict=True):
        assert ours.dtype == dtype
        # bfloat16 holds 8 bits of these integers: g is rounded, and its sums are rounded again.
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=0.02 * theirs.abs().max())


def test_gradients_are_made_for_what_needs_them_only(make: SimpleNamespace, backend: str) -> None:
    x, W_enc, b_enc, W_dec, b_dec = some(make.reals, 6, 5, 30)
    W_dec.requires_grad_()
    result = topk_autoencode(x, W_enc, b_enc, W_dec, b_dec, 4, backend=backend)
    assert not result.indices.requires_grad
    result.squares.sum().backward()
    assert [t.grad is None for t in (x, W_enc, b_enc, W_dec, b_dec)] == [True] * 3 + [False, True]


def test_second_derivatives_raise(make: SimpleNamespace, backend: str) -> None:
    leaves = [t.requires_grad_() for t in some(make.reals, 6, 5, 30)]
    recon = topk_autoencode(*leaves, 4, backend=backend).recon
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        torch.autograd.grad(recon.sum(), leaves, create_graph=True)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"x": torch.ones(2)}, ValueError, "x: expected 2 dimensions"),
        ({"x": torch.ones(2, 3).long()}, TypeError, "x: expected float32"),
        ({"W_enc": torch.ones(5, 4)}, ValueError, r"W_enc: expected shape \(5, 3\)"),
        ({"W_enc": torch.ones(5, 3).half()}, TypeError, "W_enc: expected torch.float32"),
        ({"b_enc": torch.ones(4)}, ValueError, r"b_enc: expected shape \(5,\)"),
        ({"W_dec": torch.ones(4, 3)}, ValueError, r"W_dec: expected shape \(5, 3\)"),
        ({"W_dec": torch.ones(5, 3, device="meta")}, ValueError, "W_dec: .*device"),
        ({"b_dec": torch.ones(5)}, ValueError, r"b_dec: expected shape \(3,\)"),
        ({"b_dec": torch.ones(3).double()}, TypeError, "b_dec: expected torch.float32"),
        ({"k": 0}, ValueError, "k: expected 1 to 5"),
        ({"k": 6}, ValueError, "k: expected 1 to 5"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "x": torch.ones(2, 3), "W_enc": torch.ones(5, 3), "b_enc": torch.ones(5),
        "W_dec": torch.ones(5, 3), "b_dec": torch.ones(3), "k": 2, "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        topk_autoencode(**arguments)
