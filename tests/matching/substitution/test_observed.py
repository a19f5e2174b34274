"""Coefficients and errors of every kind of SAE, against its own decoder with a latent replaced."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import sparse
from twinsae.matching.substitution.observed import firings, observe, unit_rows
from twinsae.matching.substitution.replacement import (
    activation_replaced,
    changes,
    direction_replaced,
    removed,
)
from twinsae.sae import SAE

KINDS = (
    "topk", "batch_topk", "groupmax", "relu", "gated", "jumprelu", "raw_topk", "abs_topk",
    "normed_topk", "transcode", "skip", "layer_norm", "constant_norm", "standardize", "matryoshka",
)  # fmt: skip
TOKENS = 90


@pytest.fixture
def x() -> torch.Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.randn(TOKENS, 6, generator=rng, dtype=torch.float64) * 2 + 0.7


def decoded(sae: SAE, x: torch.Tensor, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return what an SAE makes of x from dense values (N, L) and a decoder of one's own."""
    sums = values @ weight + sae.b_dec
    if sae.config.normalization == "layer_norm":
        mean = x.mean(dim=1, keepdim=True)
        sums = sums * (x - mean).std(dim=1, keepdim=True) + mean
    if sae.config.normalization == "constant_norm":
        sums = sums * x.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5
    if sae.W_skip is not None:
        sums = sums + x @ sae.W_skip.T
    return sums


def dense_values(sae: SAE, x: torch.Tensor) -> torch.Tensor:
    top = sae.encode(x)
    values = torch.zeros(len(x), sae.config.num_latents + 1, dtype=torch.float64)
    place = torch.where(top.indices < 0, sae.config.num_latents, top.indices)
    return values.scatter(1, place, top.values)[:, :-1]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_each_change_of_fvu_is_that_of_the_sae_with_the_latent_replaced(
    kind: str, make_sae: Callable[..., SAE], x: torch.Tensor
):
    a, b = make_sae(kind), make_sae(kind, num_latents=24, seed=1)
    found = observe(a, b, x.split(40))
    values, other_values = dense_values(a, x), dense_values(b, x)
    variance = float((x - x.mean(dim=0)).square().sum())

    def fvu(weight: torch.Tensor, new: torch.Tensor) -> float:
        return float((decoded(a, x, weight, new) - x).square().sum()) / variance

    base = fvu(a.W_dec, values)
    assert found.fvu == pytest.approx(base, rel=1e-10)
    np.testing.assert_array_equal(firings(found.a), (values != 0).sum(dim=0))
    partner = np.random.default_rng(0).integers(0, 24, 20)
    lengths, other_lengths = a.W_dec.norm(dim=1), b.W_dec.norm(dim=1)
    wanted: dict[str, list[float]] = {"removed": [], "direction": [], "activation": []}
    scale = decoded_scale(a, x) / decoded_scale(b, x)
    for i, j in enumerate(partner):
        weight, new = a.W_dec.clone(), values.clone()
        weight[i] = 0
        wanted["removed"].append(fvu(weight, values) - base)
        weight[i] = lengths[i] * b.W_dec[j] / other_lengths[j].clamp(min=1e-300)
        wanted["direction"].append(fvu(weight, values) - base)
        if lengths[i] > 0:
            new[:, i] = other_values[:, j] * other_lengths[j] / lengths[i] / scale
        wanted["activation"].append(fvu(a.W_dec, new) - base)
    units, other_units = unit_rows(a), unit_rows(b)
    replaced = {
        "removed": removed(found.a, units),
        "direction": direction_replaced(found.a, units, other_units, partner),
        "activation": activation_replaced(found.a, found.b, units, partner),
    }
    for name, replacement in replaced.items():
        change = changes(replacement, found.error) / found.variance
        np.testing.assert_allclose(change, wanted[name], rtol=0, atol=1e-10)
        assert np.abs(change).max() > 1e-3


def decoded_scale(sae: SAE, x: torch.Tensor) -> torch.Tensor:
    """What one unit of a decoder's sum becomes in the reconstruction of each token."""
    zeros, ones = torch.zeros(len(x), len(sae.W_dec)).double(), torch.ones_like(sae.W_dec)
    first = zeros.index_fill(1, torch.tensor([0]), 1)
    return (decoded(sae, x, ones, first) - decoded(sae, x, ones, zeros))[:, 0]


def test_tokens_that_say_nothing_are_refused(make_sae: Callable[..., SAE], x: torch.Tensor):
    a = make_sae("topk")
    with pytest.raises(ValueError, match="there are no tokens to measure on"):
        observe(a, a, [])
    with pytest.raises(ValueError, match="the tokens are all the same"):
        observe(a, a, [x[:1].expand(9, 6)])
    with torch.no_grad():
        a.b_dec[0] = torch.nan
    with pytest.raises(ValueError, match="a reconstruction is NaN or infinite"):
        observe(a, a, [x])


def test_unit_rows_keep_zero_rows(make_sae: Callable[..., SAE]):
    rows = unit_rows(make_sae("topk"))
    lengths = np.linalg.norm(rows, axis=1)
    assert lengths[2] == 0
    np.testing.assert_allclose(np.delete(lengths, 2), 1)
    assert firings(sparse.csc_array(np.array([[0.0, 2], [0, 3]]))).tolist() == [0, 2]
