"""The contract of latent_adam and latent_squares; the oracle is torch.optim.Adam in float64."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from twinsae.kernels.update import (
    AdamStep,
    LatentTotals,
    Moments,
    Term,
    latent_adam,
    latent_squares,
)

NAMES = ["reference", "native", "native:avx2", "native:portable"]
each_backend = pytest.mark.parametrize("backend", NAMES, indirect=True)


def dense(term: Term, latents: int) -> Tensor:
    """Return a term's scales as an (N, L) matrix in float64."""
    indices, rows = term.indices, term.rows.shape[0]
    if term.row_offsets is None:
        owner = torch.arange(rows)[:, None].expand(indices.shape)
    else:
        owner = torch.arange(rows).repeat_interleave(term.row_offsets.diff())
    named = indices >= 0
    out = torch.zeros(rows, latents, dtype=torch.float64)
    at = (owner[named], indices[named])
    return out.index_put_(at, term.scales[named].double(), accumulate=True)


def dense_gradient(
    weight: Tensor, terms: list[Term], decay: Tensor | None, unit_rows: bool
) -> Tensor:
    out = torch.zeros_like(weight, dtype=torch.float64)
    for term in terms:
        out += dense(term, len(weight)).T @ term.rows.double()
    if decay is not None:
        out += torch.diag(decay.double()) @ weight.double()
    if unit_rows:
        out -= (out * weight.double()).sum(1, keepdim=True) * weight.double()
    return out


def some_term(
    make: SimpleNamespace, rows: int, k: int, latents: int, dim: int, kind: str = "reals"
) -> Term:
    build = getattr(make, kind)
    return Term(build(rows, k), make.indices(rows, k, latents), build(rows, dim))


def in_compressed_rows(term: Term) -> Term:
    """Return the same term with row offsets; every third place becomes empty."""
    keep = torch.ones(term.indices.numel(), dtype=torch.bool)
    keep[::3] = False
    counts = keep.view(term.indices.shape).sum(1)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    return Term(term.scales.flatten()[keep], term.indices.flatten()[keep], term.rows, offsets)


def zeros(weight: Tensor, dtype: torch.dtype | None = None) -> Moments:
    return Moments(torch.zeros_like(weight, dtype=dtype), torch.zeros_like(weight, dtype=dtype))


def doubled(term: Term) -> Term:
    return Term(term.scales.double(), term.indices, term.rows.double(), term.row_offsets)


@each_backend
@pytest.mark.parametrize(
    ("rows", "k", "latents", "dim"),
    [(9, 2, 131, 9), (1, 1, 1, 1), (40, 5, 7, 3), (40, 32, 300, 577), (0, 3, 5, 4), (9, 0, 4, 3),
     (2, 2, 3, 0), (600, 3, 20, 40)],
)  # fmt: skip
@pytest.mark.parametrize("unit_rows", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_equal_to_adam_of_torch(
    make: SimpleNamespace,
    backend: str,
    rows: int,
    k: int,
    latents: int,
    dim: int,
    unit_rows: bool,
    double: bool,
) -> None:
    backend = "auto" if double else backend
    dtype = torch.float64 if double else torch.float32
    weight = normalize(make.reals(latents, dim).double()).to(dtype)
    moments = zeros(weight)
    exact = torch.nn.Parameter(weight.double().clone())
    adam = torch.optim.Adam([exact], lr=0.01, betas=(0.8, 0.95), eps=0.01)
    for step in range(1, 5):
        terms = [some_term(make, rows, k, latents, dim)]
        if step > 1:
            terms.append(in_compressed_rows(some_term(make, rows + step, k + 1, latents, dim)))
        if step == 4:
            terms = []  # nothing but the moments moves the weights
        decay = make.reals(latents).to(dtype) if step in (2, 4) else None
        terms = [doubled(term) for term in terms] if double else terms
        exact.grad = 0.5 * dense_gradient(exact.detach(), terms, decay, unit_rows)
        adam.step()
        if unit_rows:
            exact.data = normalize(exact.data)
        numbers = AdamStep(0.01, step, 0.8, 0.95, 0.01, scale=0.5)
        latent_adam(
            weight, moments, terms, numbers, decay=decay, unit_rows=unit_rows, backend=backend
        )
        # eps is large: else a sum near 0 hands its relative error to the weight.
        near = {"rtol": 1e-12, "atol": 1e-13} if double else {"rtol": 1e-4, "atol": 5e-6}
        torch.testing.assert_close(weight.double(), exact.detach(), **near)
        for name, ours in moments._asdict().items():
            torch.testing.assert_close(ours.double(), adam.state[exact][name], **near)


@each_backend
def test_totals_are_those_of_before_the_update(make: SimpleNamespace, backend: str) -> None:
    first, second = (some_term(make, n, 4, 300, 6, "integers") for n in (700, 31))
    first.indices[:, 1] = 7  # more places than are summed at once
    second.indices[:, 0] = 5
    first.indices[first.indices == 5] = -1
    weight = make.integers(300, 6)
    before = weight.double()
    totals = latent_adam(weight, zeros(weight), [first, second], AdamStep(0.1, 1), backend=backend)
    sums = dense(first, 300).sum(0) + dense(second, 300).sum(0)
    assert torch.equal(totals.sums.double(), sums)
    assert torch.equal(totals.weighted.double(), sums @ before)
    assert sums[5] != 0
    assert totals.fired[5] == 0  # the second term does not count
    ones = first._replace(scales=torch.ones_like(first.scales))
    assert torch.equal(totals.fired, (dense(ones, 300) > 0).sum(0))
    alone = latent_adam(weight, zeros(weight), [], AdamStep(0.1, 1), backend=backend)
    assert not any(t.any() for t in alone)


def heavy_inputs(make: SimpleNamespace) -> tuple[Tensor, list[Term], Tensor]:
    terms = [some_term(make, 900, 8, 270, 33), some_term(make, 20, 2, 270, 33)]
    terms[0].indices[:, 0], terms[0].indices[:, 3] = 5, 268
    return normalize(make.reals(270, 33)), terms, make.reals(270)


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_do_not_depend_on_the_threads(
    make: SimpleNamespace, backend: str, threads: Any, dtype: torch.dtype
) -> None:
    weight, terms, decay = heavy_inputs(make)
    results = []
    for count in (1, 2, 3):
        threads(count)
        own, moments = weight.clone(), zeros(weight, dtype)
        totals = [
            latent_adam(
                own, moments, terms, AdamStep(0.01, step), decay=decay, unit_rows=True,
                backend=backend,
            )
            for step in (1, 2)
        ][-1]  # fmt: skip
        squares = latent_squares(own, terms, decay=decay, unit_rows=True, backend=backend)
        results.append((own, *moments, *totals, squares))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@each_backend
def test_bits_do_not_depend_on_the_place_in_memory(make: SimpleNamespace, backend: str) -> None:
    weight, terms, decay = heavy_inputs(make)
    results = []
    for offset in (0, 1, 3):
        places = [torch.empty(weight.numel() + offset)[offset:].view(weight.shape) for _ in "123"]
        own, *moments = (
            place.copy_(start)
            for place, start in zip(places, (weight, 0 * weight, 0 * weight), strict=True)
        )
        latent_adam(own, Moments(*moments), terms, AdamStep(0.01, 1), decay=decay, backend=backend)
        results.append((own, *moments))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@each_backend
@pytest.mark.parametrize("unit_rows", [False, True])
def test_squares_of_the_dense_gradient(
    make: SimpleNamespace, backend: str, unit_rows: bool
) -> None:
    weight, terms, decay = heavy_inputs(make)
    kept = weight.clone()
    for chosen, factors in ((terms, decay), (terms[:1], None), ([], None)):
        options = {"decay": factors, "unit_rows": unit_rows}
        squares = latent_squares(weight, chosen, **options, backend=backend)
        exact = dense_gradient(weight, chosen, factors, unit_rows).square().sum()
        assert squares.dtype == torch.float64
        torch.testing.assert_close(squares, exact, rtol=1e-5, atol=0)
    assert torch.equal(weight, kept)


@each_backend
def test_a_row_of_zeros_stays_as_it_is(make: SimpleNamespace, backend: str) -> None:
    weight = normalize(make.reals(6, 5))
    weight[2] = 0
    term = Term(make.ones(3, 2), make.tensor([[0, 1], [3, 4], [5, -1]]), make.reals(3, 5))
    moments = zeros(weight)
    latent_adam(weight, moments, [term], AdamStep(0.1, 1), unit_rows=True, backend=backend)
    assert not weight[2].any()
    norms = weight[[0, 1, 3, 4, 5]].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(5))


@each_backend
def test_moments_below_the_normal_numbers_become_zero(backend: str) -> None:
    weight, least = torch.zeros(1, 3), 2.0**-126
    moments = Moments(
        torch.tensor([[least, -1.05 * least, 2 * least]]), torch.tensor([[least, 2 * least, 0.0]])
    )
    latent_adam(weight, moments, [], AdamStep(0.1, 9), backend=backend)
    torch.testing.assert_close(
        moments.exp_avg, torch.tensor([[0, 0, 1.8 * least]]), atol=0, rtol=1e-6
    )
    torch.testing.assert_close(
        moments.exp_avg_sq, torch.tensor([[0, 1.998 * least, 0]]), atol=0, rtol=1e-6
    )


@each_backend
def test_numbers_that_are_not_finite_are_seen_in_the_weights(backend: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.ones(3, 20)
        term = Term(
            torch.tensor([[math.inf], [math.nan]]), torch.tensor([[0], [2]]), torch.ones(2, 20)
        )
        moments = zeros(weight, dtype)
        latent_adam(weight, moments, [term], AdamStep(0.1, 1), backend=backend)
        assert weight[[0, 2]].isnan().all()
        assert moments.exp_avg_sq[0].isinf().all()
        assert moments.exp_avg_sq[2].isnan().all()
        assert torch.equal(weight[1], torch.ones(20))


@each_backend
@pytest.mark.parametrize("bad", [-2, 3, 2**40])
def test_an_index_out_of_range_raises_and_writes_nothing(backend: str, bad: int) -> None:
    weight = torch.ones(3, 2)
    moments = zeros(weight)
    good = Term(torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.int64), torch.ones(2, 2))
    term = good._replace(indices=torch.tensor([[0], [bad]]))
    for call in (
        lambda: latent_adam(weight, moments, [good, term], AdamStep(0.1, 1), backend=backend),
        lambda: latent_squares(weight, [good, term], backend=backend),
    ):
        with pytest.raises(ValueError, match=f"indices: expected -1 to 2, got {bad}"):
            call()
    assert torch.equal(weight, torch.ones(3, 2))
    assert not any(t.any() for t in moments)


def test_what_autograd_records_is_taken_as_it_is(make: SimpleNamespace) -> None:
    weight = torch.nn.Parameter(make.reals(4, 3))
    term = some_term(make, 5, 2, 4, 3)
    term.rows.requires_grad_()
    totals = latent_adam(weight, zeros(weight.detach()), [term], AdamStep(0.1, 1))
    assert isinstance(totals, LatentTotals)
    assert not any(t.requires_grad for t in totals)
    assert weight.grad is None
