"""Every number of `Measures` against dense float64 formulas."""

import math
from dataclasses import asdict
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from twinsae.sae.evaluation import Measured, Measures

N, D, L, K = 1301, 7, 23, 4  # more than two blocks of rows


class Tokens(NamedTuple):
    y: Tensor
    """(N, D) float32, far from the origin."""
    reconstruction: Tensor
    values: Tensor
    """(N, K), of both signs, some 0."""
    indices: Tensor


@pytest.fixture
def tokens() -> Tokens:
    draw = torch.Generator().manual_seed(3)
    y = torch.randn(N, D, generator=draw) + 30
    reconstruction = y + torch.randn(N, D, generator=draw) / 3 + 0.1
    values = torch.randn(N, K, generator=draw)
    indices = torch.rand(N, L, generator=draw).topk(K, dim=1).indices
    values[torch.rand(N, K, generator=draw) < 0.3] = 0
    missing = (values == 0) & (torch.rand(N, K, generator=draw) < 0.5)
    return Tokens(y, reconstruction, values, indices.masked_fill(missing, -1))


def dense(tokens: Tokens, outlier_norm: float = math.inf) -> Measured:
    """The definitions, written out with all tokens at hand."""
    y, reconstruction = tokens.y.double(), tokens.reconstruction.double()
    error = reconstruction - y
    codes = torch.zeros(len(y), L + 1).scatter(1, tokens.indices % (L + 1), tokens.values)[:, :L]
    share = (codes != 0).double().mean(dim=0)  # (L,)
    ordinary = y.norm(dim=1) <= outlier_norm

    def fvu(chosen: Tensor) -> float:
        deviations = y[chosen] - y[chosen].mean(dim=0)
        return float(error[chosen].square().sum() / deviations.square().sum())

    every = fvu(torch.ones(len(y), dtype=torch.bool))
    explained = 1 - error.var(dim=0).sum() / y.var(dim=0).sum()
    products = (reconstruction * y).sum(dim=1)
    return Measured(
        tokens=len(y),
        fvu=every,
        explained_variance=1 - every,
        frac_variance_explained=float(explained),
        mse=float(error.square().sum(dim=1).mean()),
        cosine=float(torch.cosine_similarity(reconstruction, y).mean()),
        relative_reconstruction_bias=float(reconstruction.square().sum() / products.sum()),
        l0=float((codes != 0).sum(dim=1).double().mean()),
        dead=float((share == 0).double().mean()),
        dense=float((share > 0.1).double().mean()),
        outliers=int((~ordinary).sum()),
        fvu_without_outliers=fvu(ordinary),
    )


def measured(tokens: Tokens, sizes: list[int], outlier_norm: float = math.inf) -> Measured:
    """Give the tokens in batches of these sizes, and of the last one from there on."""
    measures = Measures(L, D, outlier_norm=outlier_norm)
    ends = torch.tensor(sizes).cumsum(0).tolist()
    splits = [torch.tensor_split(part, ends) for part in tokens]
    for batch in zip(*splits, strict=True):
        measures.add(*batch)
    return measures.result()


def close(found: Measured, expected: Measured) -> None:
    assert asdict(found) == pytest.approx(asdict(expected), rel=1e-10, abs=1e-12, nan_ok=True)


def test_every_number_is_that_of_the_dense_formula(tokens: Tokens):
    found = measured(tokens, [])
    close(found, dense(tokens))
    # The case tells the definitions apart.
    numbers = list(asdict(found).values())
    assert len(set(numbers[1:4])) == 3
    assert found.fvu == found.fvu_without_outliers


@pytest.mark.parametrize("sizes", [[1], [0, 1300], [1, 2, 3, 700], [512], [1] * 50])
def test_the_same_bits_however_tokens_are_split(tokens: Tokens, sizes: list[int]):
    limit = float(tokens.y.norm(dim=1).median())
    assert measured(tokens, sizes, limit) == measured(tokens, [], limit)


def test_batches_of_sequences_are_their_tokens(tokens: Tokens):
    measures = Measures(L, D)
    measures.add(*(part[:1300].reshape(13, 100, -1) for part in tokens))
    flat = Measures(L, D)
    flat.add(*(part[:1300] for part in tokens))
    assert measures.result() == flat.result()


def test_outliers_count_once_with_and_once_without(tokens: Tokens):
    huge = [0, 17, 1300]
    tokens.y[huge] *= 1000
    limit = 10 * float(tokens.y.norm(dim=1).median())
    found = measured(tokens, [5], limit)
    close(found, dense(tokens, limit))
    assert found.outliers == 3
    # Of huge tokens that are hardly reconstructed, the FVU with them says nothing else.
    assert found.fvu == pytest.approx(1, abs=0.01)
    assert found.fvu_without_outliers < 0.2


def test_the_mean_of_all_tokens_counts_not_that_of_each_batch():
    y = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    measures = Measures(1, 1)
    nothing = torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64)
    for half in (y[:2], y[2:]):
        measures.add(half, half + 1, *nothing)
    # sum |e|^2 is 4, the variance about 5.5 is 101; about each half's mean it is 1.
    assert measures.result().fvu == pytest.approx(4 / 101, rel=1e-14)


def test_dead_and_dense_latents_are_counted():
    # Of 20 tokens, latent 0 is active on all, 1 on three, 2 on two (not more than a tenth), 3 on
    # one; 4 is listed with value 0, 5 is not listed.
    indices = torch.full((20, 4), -1)
    indices[:, 0], indices[:3, 1], indices[:2, 2], indices[0, 3] = 0, 1, 2, 3
    values = (indices >= 0).float()
    indices[5, 3] = 4
    measures = Measures(6, 2)
    rows = torch.randn(20, 2)
    measures.add(rows, rows, values, indices)
    found = measures.result()
    assert measures.fired.tolist() == [20, 3, 2, 1, 0, 0]
    assert (found.dead, found.dense, found.l0) == (2 / 6, 2 / 6, 26 / 20)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float64])
def test_a_perfect_reconstruction_and_that_of_the_mean(precision: torch.dtype):
    y = torch.randn(400, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = (y + 2).to(precision)
    nothing = torch.zeros(400, 3), torch.full((400, 3), -1)
    perfect, mean = Measures(3, 5), Measures(3, 5)
    perfect.add(y, y, *nothing)
    mean.add(y, y.double().mean(dim=0).expand(y.shape), *nothing)
    found = perfect.result()
    assert (found.fvu, found.explained_variance, found.mse) == (0, 1, 0)
    assert found.cosine == pytest.approx(1, abs=1e-12)
    assert found.relative_reconstruction_bias == 1
    assert (found.l0, found.dead, found.dense) == (0, 1, 0)
    assert mean.result().fvu == pytest.approx(1, rel=1e-12)


def test_a_common_offset_is_an_error_for_all_but_frac_variance_explained(tokens: Tokens):
    y = tokens.y
    found = measured(tokens._replace(reconstruction=y + 0.7), [])
    assert found.frac_variance_explained == pytest.approx(1, abs=1e-6)
    assert found.mse == pytest.approx(0.49 * D, rel=1e-5)
    assert found.fvu == pytest.approx(0.49, abs=0.05)  # the variance of each dimension is 1


def test_targets_far_from_the_origin():
    y = torch.randn(600, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    far = Tokens(y + 1e6, y + 1e6 + 0.5, torch.ones(600, 1), torch.zeros(600, 1).long())
    assert measured(far, [3]).fvu == pytest.approx(dense(far).fvu, rel=1e-8)


def test_targets_without_variance():
    y = torch.full((9, 4), 0.1)
    nothing = torch.zeros(9, 1), torch.full((9, 1), -1)
    for reconstruction, fvu in ((y + 1, math.inf), (y, math.nan)):
        measures = Measures(1, 4)
        measures.add(y, reconstruction, *nothing)
        assert measures.result().fvu == pytest.approx(fvu, nan_ok=True)


def test_zeros_have_cosine_zero():
    y = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    reconstruction = torch.tensor([[1.0, 0.0], [0.0, 0.0], [4.0, 3.0]])
    measures = Measures(1, 2)
    measures.add(y, reconstruction, torch.zeros(3, 1), torch.full((3, 1), -1))
    assert measures.result().cosine == pytest.approx(24 / 25 / 3, rel=1e-14)


def test_all_tokens_may_be_outliers(tokens: Tokens):
    found = measured(tokens, [], outlier_norm=0.0)
    assert found.outliers == N
    assert math.isnan(found.fvu_without_outliers)
    assert found.fvu == pytest.approx(dense(tokens).fvu, rel=1e-10)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["target", "reconstruction"])
def test_what_is_not_finite_is_named(tokens: Tokens, bad: float, which: str):
    chosen = tokens.y if which == "target" else tokens.reconstruction
    chosen[1100, 3] = bad
    expected = f"^the {which} of token 1,100 is NaN or infinite$"
    with pytest.raises(ValueError, match=expected):
        measured(tokens, [700])


def test_without_tokens_there_is_nothing_to_say(tokens: Tokens):
    measures = Measures(L, D)
    with pytest.raises(ValueError, match=r"^there are no tokens to measure$"):
        measures.result()
    measures.add(*(part[:0] for part in tokens))
    with pytest.raises(ValueError, match="no tokens"):
        measures.result()
