"""Moments in bfloat16: how latent_adam rounds them, and that they follow moments in float32."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.kernels.update import AdamStep, Moments, Term, latent_adam
from twinsae.kernels.update.rounding import key_of, random_bits, round_at_random

NAMES = ["reference", "native", "native:avx2", "native:portable"]
each_backend = pytest.mark.parametrize("backend", NAMES, indirect=True)


def zeros(weight: Tensor, dtype: torch.dtype) -> Moments:
    return Moments(torch.zeros_like(weight, dtype=dtype), torch.zeros_like(weight, dtype=dtype))


def some_term(make: SimpleNamespace) -> Term:
    return Term(make.reals(900, 8), make.indices(900, 8, 270), make.reals(900, 33))


@each_backend
def test_bfloat16_moments_follow_those_of_float32(make: SimpleNamespace, backend: str) -> None:
    # For 400 updates the gradients are normal numbers, for 200 a third of that.
    start = make.reals(16, 40)
    weights = [start.clone(), start.clone()]
    moments = [zeros(start, dtype) for dtype in (torch.float32, torch.bfloat16)]
    nearest = torch.zeros_like(start, dtype=torch.bfloat16)
    indices = make.arange(16)[:, None]
    for step in range(1, 601):
        rows = make.reals(16, 40) / (1 if step <= 400 else 3)
        term = Term(make.ones(16, 1), indices, rows)
        for weight, own in zip(weights, moments, strict=True):
            latent_adam(weight, own, [term], AdamStep(1e-3, step), backend=backend)
        nearest = (0.999 * nearest.float() + 0.001 * rows.square()).bfloat16()
    exact = moments[0].exp_avg_sq
    ratio = moments[1].exp_avg_sq.float() / exact
    assert abs(ratio.mean() - 1) < 0.01
    assert (ratio - 1).abs().max() < 0.2
    assert (nearest / exact).mean() > 1.1  # it cannot fall: the bound above can be missed
    moved = (weights[0] - start).norm()
    assert (weights[1] - weights[0]).norm() < 0.03 * moved


@pytest.mark.parametrize("backend", NAMES[1:], indirect=True)
def test_both_implementations_round_by_the_same_bits(make: SimpleNamespace, backend: str) -> None:
    weight, terms = make.reals(270, 33), [some_term(make)]
    results = {}
    for name in ("reference", backend):
        moments = zeros(weight, torch.bfloat16)
        for step in (1, 2):
            numbers = AdamStep(0.0, step, seed=12)
            latent_adam(weight, moments, terms, numbers, backend=name)
        results[name] = torch.stack([t.view(torch.int16).int() for t in moments])
    apart = (results["reference"] - results[backend]).abs()
    # The sums before the rounding may differ in their last bits.
    assert (apart == 0).float().mean() > 0.995
    assert apart.max() <= 1


@each_backend
def test_rounding_depends_on_the_seed_and_the_step(make: SimpleNamespace, backend: str) -> None:
    weight, terms = make.reals(270, 33), [some_term(make)]

    def moments_of(seed: int, step: int) -> Tensor:
        moments = zeros(weight, torch.bfloat16)
        own = weight.clone()
        latent_adam(own, moments, terms, AdamStep(0.1, step, seed=seed), backend=backend)
        return moments.exp_avg

    assert torch.equal(moments_of(3, 1), moments_of(3, 1))
    for other in (moments_of(4, 1), moments_of(3, 2)):
        assert (other != moments_of(3, 1)).float().mean() > 0.3


def test_rounding_is_right_on_average() -> None:
    random = random_bits(key_of(1, 2), 5, torch.empty(300, 400))
    number = 1 + 3 * 2.0**-9  # three quarters of the way from 1 to bfloat16's next number
    for half in (random & 0xFFFF, random >> 16):
        rounded = round_at_random(torch.full(half.shape, number), half)
        assert set(rounded.unique().tolist()) == {1.0, 1 + 2.0**-7}
        # 120,000 throws: five standard deviations of their mean are 0.0063.
        assert abs((rounded > 1).double().mean() - 0.75) < 0.0063
        down = round_at_random(torch.full(half.shape, -number), half)
        assert torch.equal(down, -rounded)
    special = torch.tensor([math.inf, -math.inf, math.nan, 0.0, 2.0])
    rounded = round_at_random(special, torch.full((5,), 0xFFFF))
    torch.testing.assert_close(rounded, special.bfloat16(), equal_nan=True, rtol=0, atol=0)


def test_random_bits_do_not_depend_on_where_a_part_begins() -> None:
    whole = random_bits(9, 0, torch.empty(40, 7))
    assert torch.equal(whole[13:20], random_bits(9, 13, torch.empty(7, 7)))
    assert whole.unique().numel() == whole.numel()
