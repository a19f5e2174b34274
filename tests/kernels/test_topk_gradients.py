"""Gradients of linear_topk and sparse_decode against dense autograd in float64.

The dense model writes the selection as a 0/1 matrix. A float32 gradient is right if its error is
within 4 times that of the same dense model run in float32, plus an ulp of the largest entry: both
round sums of as many terms, in different orders. Errors were at most 2.6 times as large.
"""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.kernels.decode import sparse_decode
from twinsae.kernels.topk import linear_topk

Parameters = dict[str, Tensor]


def parameters(make: SimpleNamespace, rows: int, dim: int, latents: int) -> Parameters:
    shapes = {
        "x": (rows, dim),
        "W_enc": (latents, dim),
        "b_enc": (latents,),
        "W_dec": (latents, dim),
    }
    made = {name: make.reals(*shape).double() for name, shape in shapes.items()}
    return made | {"b_dec": make.reals(dim).double()}


def gradients(
    loss: Callable[[Parameters], Tensor], given: Parameters, dtype: torch.dtype
) -> Parameters:
    leaves = {name: t.to(dtype).clone().requires_grad_() for name, t in given.items()}
    found = torch.autograd.grad(loss(leaves), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def dense_topk(scores: Tensor, k: int, mask: Tensor | None = None) -> Tensor:
    """Return (N, L) with the k largest positive scores of each row, and zeros elsewhere."""
    allowed = scores if mask is None else scores.masked_fill(~mask, -1.0)
    chosen = torch.zeros_like(scores).scatter(1, allowed.detach().topk(k).indices, 1.0)
    return chosen * torch.relu(allowed)


def dense_reconstruction(p: Parameters, k: int, mask: Tensor | None = None) -> Tensor:
    scores = p["x"] @ p["W_enc"].T + p["b_enc"]
    return dense_topk(scores, k, mask) @ p["W_dec"] + p["b_dec"]


def sparse_reconstruction(p: Parameters, k: int, mask: Tensor | None, backend: str) -> Tensor:
    top = linear_topk(p["x"], p["W_enc"], p["b_enc"], k, mask=mask, backend=backend)
    return sparse_decode(top.values, top.indices, p["W_dec"], p["b_dec"], backend=backend)


def losses(reconstruct: Callable[..., Tensor], mask: Tensor, k: int) -> dict[str, Callable]:
    """Return each loss term that sparsify, SAELens and OpenAI train with, as a function."""

    def plain(p: Parameters) -> Tensor:
        return (reconstruct(p, k) - p["x"]).square().sum()

    def aux(p: Parameters) -> Tensor:
        error = (p["x"] - reconstruct(p, k)).detach()
        return (reconstruct(p, 2 * k, mask) - error).square().sum()

    def multi(p: Parameters) -> Tensor:
        return plain(p) + (reconstruct(p, 4 * k) - p["x"]).square().sum() / 8

    return {"plain": plain, "aux": aux, "multi": multi}


@pytest.mark.parametrize("term", ["plain", "aux", "multi"])
@pytest.mark.parametrize(("rows", "dim", "latents", "k"), [(37, 19, 131, 5), (64, 7, 40, 1)])
def test_every_loss_term_against_dense_autograd(
    make: SimpleNamespace, backend: str, term: str, rows: int, dim: int, latents: int, k: int
) -> None:
    given = parameters(make, rows, dim, latents)
    mask = make.reals(latents) > 0.5
    dense = losses(dense_reconstruction, mask, k)[term]
    sparse = losses(lambda p, k, mask=None: sparse_reconstruction(p, k, mask, backend), mask, k)[
        term
    ]
    exact = gradients(dense, given, torch.float64)
    eager = gradients(dense, given, torch.float32)
    ours = gradients(sparse, given, torch.float32)
    for name in given:
        largest = exact[name].abs().max()
        assert largest > 0, name
        allowed = 4 * (eager[name] - exact[name]).abs().max() + largest * 2**-23
        assert (ours[name] - exact[name]).abs().max() <= allowed, name
    # The AuxK loss must train the encoder (sparsify 1.3.3 gives it exactly zero).
    assert (ours["W_enc"].abs().sum(1) > 0).sum() > 1


@pytest.mark.parametrize("positives", [0, 1, 4])
def test_missing_places_get_no_gradient(
    make: SimpleNamespace, backend: str, positives: int
) -> None:
    # There are fewer than k = 5 positive scores; missing places must give no latent a gradient.
    x, weight = torch.ones(3, 4), torch.full((20, 4), -1.0)
    weight[7 : 7 + positives] = make.reals(positives, 4).abs()
    leaves = [x.requires_grad_(), weight.requires_grad_(), torch.zeros(20, requires_grad=True)]
    top = linear_topk(*leaves, 5, backend=backend)
    assert (top.indices >= 0).sum(1).tolist() == [positives] * 3
    dx, dW, db = torch.autograd.grad((top.values * make.reals(3, 5)).sum(), leaves)
    touched = torch.zeros(20, dtype=torch.bool)
    touched[7 : 7 + positives] = True
    assert ((dW != 0).any(1) == touched).all()
    assert ((db != 0) == touched).all()
    assert (dx != 0).any(1).tolist() == [positives > 0] * 3


def test_groups_have_the_gradients_of_lone_calls(make: SimpleNamespace, backend: str) -> None:
    x, weight, bias = make.reals(30, 11), make.reals(3 * 50, 11), make.reals(3 * 50)
    pull = make.reals(30, 3, 6)
    leaves = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    top = linear_topk(*leaves, 6, groups=3, backend=backend)
    dx, dW, db = torch.autograd.grad((top.values * pull).sum(), leaves)
    dx_alone = torch.zeros_like(x)
    for group in range(3):
        own = slice(50 * group, 50 * (group + 1))
        parts = [t.detach()[own].clone().requires_grad_() for t in (weight, bias)]
        alone = linear_topk(x, *parts, 6, backend=backend)
        found = torch.autograd.grad((alone.values * pull[:, group]).sum(), [x, *parts])
        dx_alone += found[0]
        assert torch.equal(found[1], dW[own])
        assert torch.equal(found[2], db[own])
    torch.testing.assert_close(dx, dx_alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gradients_have_the_parameters_dtype(
    make: SimpleNamespace, backend: str, dtype: torch.dtype
) -> None:
    leaves = [
        make.integers(*shape, dtype=dtype).requires_grad_() for shape in ((9, 5), (40, 5), (40,))
    ]
    top = linear_topk(*leaves, 3, backend=backend)
    found = torch.autograd.grad(top.values.sum(), leaves)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    exact = torch.autograd.grad(dense_topk_stable(*wide, top.indices).sum(), wide)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs.to(dtype))


def dense_topk_stable(x: Tensor, weight: Tensor, bias: Tensor, indices: Tensor) -> Tensor:
    return (x @ weight.T + bias).gather(1, indices.clamp(min=0)) * (indices >= 0)


def test_gradcheck_of_the_reference(make: SimpleNamespace) -> None:
    given = [make.reals(*shape, dtype=torch.float64) for shape in ((4, 3), (12, 3), (12,))]
    leaves = [t.requires_grad_() for t in given]
    mask = torch.arange(12) % 5 > 0

    def topk(*tensors: Tensor) -> Tensor:
        return linear_topk(*tensors, 4, mask=mask, groups=2, backend="reference").values

    assert torch.autograd.gradcheck(topk, leaves)
    indices = torch.tensor([[0, 3, 3], [-1, 11, 2], [-1, -1, -1], [5, 0, -1]])
    decoded = [make.reals(4, 3, dtype=torch.float64).requires_grad_(), leaves[1]]
    bias = make.reals(3, dtype=torch.float64).requires_grad_()

    def decode(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return sparse_decode(values, indices, weight, bias, backend="reference")

    assert torch.autograd.gradcheck(decode, [*decoded, bias])


def test_strided_parameters_get_the_same_gradients(make: SimpleNamespace, backend: str) -> None:
    # sparsify passes its decoder as param.mT: (L, D) with strides (1, L).
    given = parameters(make, 12, 7, 50)
    strided = {
        **given,
        "W_enc": given["W_enc"].T.contiguous(),
        "W_dec": given["W_dec"].T.contiguous(),
    }

    def plain(p: Parameters) -> Tensor:
        return sparse_reconstruction(p, 5, None, backend).square().sum()

    def turned(p: Parameters) -> Tensor:
        return plain({**p, "W_enc": p["W_enc"].mT, "W_dec": p["W_dec"].mT})

    expected = gradients(plain, given, torch.float32)
    found = gradients(turned, strided, torch.float32)
    for name in given:
        ours = found[name].T if name.startswith("W_") else found[name]
        assert torch.equal(ours, expected[name]), name


def test_gradients_are_made_for_what_needs_them_only(make: SimpleNamespace, backend: str) -> None:
    x, weight = make.reals(6, 5), make.reals(30, 5).requires_grad_()
    top = linear_topk(x, weight, None, 4, backend=backend)
    assert not top.indices.requires_grad
    top.values.sum().backward()
    assert x.grad is None
    assert weight.grad is not None


def test_second_derivatives_raise(make: SimpleNamespace, backend: str) -> None:
    weight = make.reals(30, 5).requires_grad_()
    values = linear_topk(make.reals(6, 5), weight, None, 4, backend=backend).values
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        torch.autograd.grad(values.sum(), weight, create_graph=True)


def test_two_backwards_have_the_same_bits(make: SimpleNamespace, backend: str, threads) -> None:
    given = parameters(make, 300, 33, 70)
    found = []
    for count in (1, 2, 2):
        threads(count)
        loss = losses(
            lambda p, k, mask=None: sparse_reconstruction(p, k, mask, backend),
            torch.arange(70) % 3 == 0, 8,
        )["multi"]  # fmt: skip
        found.append(gradients(loss, given, torch.float32))
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in given)
