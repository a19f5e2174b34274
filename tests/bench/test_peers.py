"""The peers get our weights and compute our loss; a peer that differs is not timed."""

import os
import sys

import pytest
import torch
from twinsae.bench import encode, step
from twinsae.bench.inputs import Inputs
from twinsae.bench.measurement import Measurement
from twinsae.bench.peers import GRADIENTS, Peer, installed_peers
from twinsae.bench.refuse import WrongResultError
from twinsae.sae import SAE, SAEConfig

PARAMETERS = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")  # in the order of GRADIENTS
STEPS = {"sparsify", "dictionary_learning", "SAELens", "SAELens, no rescaling"}


def peers_by_name(inputs: Inputs) -> dict[str, Peer]:
    return {peer.name: peer for peer in installed_peers(inputs.weights)}


def ways(measured: list[Measurement]) -> set[str]:
    return {one.way for one in measured}


@pytest.mark.usefixtures("with_peers")
def test_all_peers_are_compared_and_timed(inputs) -> None:
    assert ways(step.bench_step(inputs, 1)) >= STEPS
    assert os.environ["SPARSIFY_DISABLE_TRITON"] == "1"
    assert {"sparsify", "dictionary_learning"} < ways(encode.bench_encode(inputs, 1))


@pytest.mark.usefixtures("without_peers")
def test_peers_that_are_not_installed_are_left_out(inputs) -> None:
    assert installed_peers(inputs.weights) == []
    assert not STEPS & ways(step.bench_step(inputs, 1))


@pytest.mark.usefixtures("with_peers")
@pytest.mark.parametrize("peer", sorted(STEPS))
def test_a_peers_step_gives_float64s_loss_and_gradients(peer, inputs) -> None:
    sae, x = inputs.sae, inputs.x.double()
    state = sae.state_dict()
    parameters = [state[name].double().requires_grad_() for name in PARAMETERS]
    W_enc, b_enc, W_dec, b_dec = parameters
    scores = torch.relu((x - b_dec) @ W_enc.T + b_enc)
    top = scores.topk(sae.config.k)
    codes = torch.zeros_like(scores).scatter(1, top.indices, top.values)
    error = (codes @ W_dec + b_dec - x).square().sum()
    per_token = peers_by_name(inputs)[peer].loss == "per token"
    assert per_token == (peer != "sparsify")
    loss = error / (len(x) if per_token else (x - x.mean(0)).square().sum())
    found = peers_by_name(inputs)[peer].step(inputs.x)
    torch.testing.assert_close(found["loss"].double(), loss.detach(), rtol=1e-5, atol=0)
    for name, expected in zip(GRADIENTS, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("with_peers")
def test_a_second_step_does_not_add_to_the_first(inputs) -> None:
    for peer in installed_peers(inputs.weights):
        first = peer.step(inputs.x)
        assert all(torch.equal(first[name], value) for name, value in peer.step(inputs.x).items())


@pytest.mark.usefixtures("with_peers")
def test_a_peer_with_another_loss_is_not_timed(inputs, monkeypatch) -> None:
    trainer = sys.modules["dictionary_learning.trainers.top_k"].TopKTrainer
    right = trainer.loss
    monkeypatch.setattr(trainer, "loss", lambda self, x, step: 1.01 * right(self, x, step))
    with pytest.raises(WrongResultError, match=r"step, dictionary_learning: the loss.* are off"):
        step.bench_step(inputs, 1)


@pytest.mark.usefixtures("with_peers")
def test_a_peer_with_another_gradient_is_not_timed(inputs, monkeypatch) -> None:
    coder = sys.modules["sparsify"].SparseCoder
    right = coder.encode

    def without_encoder_gradient(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values, *rest = right(self, x)
        return values.detach(), *rest

    monkeypatch.setattr(coder, "encode", without_encoder_gradient)
    with pytest.raises(RuntimeError, match="no gradient of encoder_weight: not timed"):
        step.bench_step(inputs, 1)


@pytest.mark.usefixtures("with_peers")
def test_a_peer_that_encodes_otherwise_is_not_timed(inputs, monkeypatch) -> None:
    coder = sys.modules["sparsify"].SparseCoder
    right = coder.encode
    monkeypatch.setattr(coder, "encode", lambda self, x: right(self, x + 0.01))
    with pytest.raises(WrongResultError, match=r"encode, sparsify: .* are off"):
        encode.bench_encode(inputs, 1)


def test_rows_on_which_rounding_or_the_relu_decides_are_not_compared() -> None:
    sae = SAE(SAEConfig(d_in=3, num_latents=4, k=2), seed=0)
    sae.encoder.weight.data = torch.tensor(
        [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 1.0 + 1e-7]]
    )
    x = torch.tensor([[3.0, 2, 1], [3.0, 2, 2], [3.0, -1, -1], [0.0, 1, 1]])
    # The rows: clear; second and third score equal; one positive score; three nearly equal scores.
    assert step._unmistakable(sae, x).tolist() == [True, False, False, False]
    every = SAE(SAEConfig(d_in=3, num_latents=2, k=2), seed=0)
    every.encoder.weight.data = torch.eye(3)[:2]
    assert step._unmistakable(every, x).tolist() == [True, True, False, False]
