"""What an SAE learned, against plain torch, and the search for a coefficient of equal L0."""

import pytest
import torch
from twinsae.bench.learned import Learned, at_equal_l0, learned
from twinsae.sae import SAE, SAEConfig, TrainConfig
from twinsae.sae.loss import fvu

BATCHES = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).split(10)


@pytest.mark.parametrize("activation", ["topk", "relu"])
def test_it_is_the_mean_over_batches(activation: str) -> None:
    sae = SAE(SAEConfig(5, 12, k=3, activation=activation), seed=0)  # type: ignore[arg-type]
    sparsity = 0.0 if activation == "topk" else 0.1
    found = learned(sae, TrainConfig(sparsity=sparsity), BATCHES)
    fvus, active = [], 0
    for x in BATCHES:
        codes = torch.relu(x @ sae.encoder.weight.T)
        if activation == "topk":
            codes = codes * (codes >= codes.topk(3).values[:, -1:])
        fvus.append(fvu(x, codes @ sae.W_dec).item())
        active += int((codes > 0).sum())
    assert found.fvu == pytest.approx(sum(fvus) / 2, rel=1e-5)
    assert found.l0 == active / 20


@pytest.mark.parametrize("first", [0.001, 0.4, 500.0])
def test_the_coefficient_is_found_from_either_side(first: float) -> None:
    asked = []

    def train(sparsity: float) -> Learned:
        asked.append(sparsity)
        return Learned(sparsity, 100 / (1 + sparsity))

    sparsity, found = at_equal_l0(train, 20.0, first)
    assert found.fvu == sparsity == asked[-1]
    assert found.l0 == pytest.approx(20, rel=0.01)
    assert asked[0] == first


def test_where_there_is_none_it_says_so() -> None:
    with pytest.raises(ValueError, match=r"l0: no coefficient between .* makes 20.0 latents"):
        at_equal_l0(lambda _: Learned(0.1, 30.0), 20.0, 1.0)
