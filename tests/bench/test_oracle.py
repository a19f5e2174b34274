"""The float64 oracle, its comparisons, and the random numbers that are compared."""

import dataclasses

import numpy as np
import pytest
import torch
from twinsae.bench import oracle
from twinsae.bench.problem import Numbers, Shape, random_problem
from twinsae.bench.refuse import WrongResultError, refuse

ODD = Shape(37, 19, 301, 7)
CPU = torch.device("cpu")


def test_not_a_number_is_wrong() -> None:
    one = torch.ones(3)
    for spoilt in (one * torch.nan, one * torch.inf):
        with pytest.raises(WrongResultError, match="x: 3 of 3 numbers"):
            refuse("x", spoilt, one, 1.0)
    refuse("x", one, one + 1, 1.0)
    with pytest.raises(WrongResultError, match="instead of"):
        refuse("x", one, one[:2], 1.0)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_reference_in_chunks_is_a_full_sort(k: int, monkeypatch) -> None:
    monkeypatch.setattr(oracle, "CHUNK_BYTES", 8 * 6 * 30)  # 30 latents
    rng = np.random.default_rng(0)
    x, weight = (torch.from_numpy(rng.integers(-2, 3, (size, 6))).float() for size in (11, 100))
    bias, mask = torch.from_numpy(rng.integers(-2, 3, 100)).float(), torch.arange(100) % 3 > 0
    scores = (x.double() @ weight.double().T).numpy() + bias.numpy()
    scores[:, ~mask.numpy()] = -np.inf
    values, indices = oracle.expected_topk(x, weight, bias, k, 1.0, mask)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, 1)
    np.testing.assert_array_equal(indices.numpy(), np.where(best > 1, order, -1))
    np.testing.assert_array_equal(values.numpy(), np.where(best > 1, best, 0))
    np.testing.assert_array_equal(oracle.scores(x, weight).numpy(), x.numpy() @ weight.numpy().T)


def test_some_places_are_spread_from_the_first_to_the_last() -> None:
    assert oracle.some(5, 9, CPU).tolist() == [0, 1, 2, 3, 4]
    assert oracle.some(1, 9, CPU).tolist() == [0]
    assert oracle.some(2**31 + 7, 3, CPU).tolist() == [0, 2**30 + 3, 2**31 + 6]


def test_numbers_are_the_same_for_the_same_seed(monkeypatch) -> None:
    first, second = (random_problem(ODD, Numbers(torch.bfloat16, CPU)) for _ in range(2))
    for name, ours in vars(first).items():
        assert ours == second.k if name == "k" else torch.equal(ours, getattr(second, name))
    assert first.shape == ODD
    scores = first.x.float() @ first.W_enc.float().T
    assert 0.8 < scores.std() < 1.2
    monkeypatch.setattr("twinsae.bench.problem._AT_ONCE", 7)
    whole = Numbers(torch.float16, CPU).whole(9, 5, most=2)
    assert whole.unique().tolist() == [-2, -1, 0, 1, 2]
    assert whole.dtype == torch.float16
    other = dataclasses.replace(first, k=3)
    assert other.encoded(first.d_values, first.indices).values is first.d_values
