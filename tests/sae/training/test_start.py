"""Training that begins with the weights of another SAE."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from twinsae.common.files import sha256
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae, open_start, save_sae, train

SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(seeds=(4,), batch_size=50, epochs=2, lr=1e-2, save_every=5)


@pytest.fixture
def first(tmp_path):
    """The folder of an SAE whose biases are not 0."""
    sae = SAE(SHAPE, seed=9)
    with torch.no_grad():
        sae.encoder.bias.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(1))
        sae.b_dec.uniform_(-1, 1, generator=torch.Generator().manual_seed(2))
    save_sae(sae, tmp_path / "first")
    return tmp_path / "first"


def test_the_first_step_is_that_of_the_sae_itself(activations, tmp_path, first):
    start = open_start(first)
    train(activations, tmp_path / "run", "h", SHAPE, CONFIG, start=start)
    line = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[0])
    (x, *_) = activations.batches(50, shuffle_seed=42, epochs=1)
    assert line["step"] == 1
    assert line["fvu"] == pytest.approx(load_sae(first)(x).fvu.item(), rel=1e-5)


def test_a_learning_rate_of_almost_nothing_leaves_the_weights(activations, tmp_path, first):
    config = replace(CONFIG, lr=1e-12)
    (sae,) = train(activations, tmp_path / "run", "h", SHAPE, config, start=open_start(first))
    expected = load_sae(first)
    for name, parameter in sae.named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name), atol=1e-6, rtol=0)


def test_what_it_began_with_is_recorded(activations, tmp_path, first):
    train(activations, tmp_path / "run", "h", SHAPE, CONFIG, start=open_start(first))
    digest = sha256(first / "sae.safetensors")
    cfg = json.loads((tmp_path / "run/h/seed4/cfg.json").read_text())
    assert cfg["start"] == {"path": str(first), "sha256": digest}
    assert load_sae(tmp_path / "run/h/seed4").config == SHAPE


def test_a_stopped_run_goes_on_to_the_same_bits(
    activations, tmp_path, first, interrupt_at, same_bits
):
    start = open_start(first)
    whole = train(activations, tmp_path / "whole", "h", SHAPE, CONFIG, start=start)
    stop = interrupt_at(7)
    with pytest.raises(KeyboardInterrupt):
        train(activations, tmp_path / "run", "h", SHAPE, CONFIG, start=start, progress=stop)
    resumed = train(activations, tmp_path / "run", "h", SHAPE, CONFIG, start=open_start(first))
    assert same_bits(resumed, whole)
    with pytest.raises(ValueError, match=r"was trained with start = '.*', not None: use the same"):
        train(activations, tmp_path / "run", "h", SHAPE, CONFIG)


def test_half_precision_and_another_k(activations, tmp_path, first):
    tensors = {k: t.bfloat16() for k, t in load_file(first / "sae.safetensors").items()}
    save_file(tensors, first / "sae.safetensors")
    shape = replace(SHAPE, k=3)
    (sae,) = train(activations, tmp_path / "run", "h", shape, CONFIG, start=open_start(first))
    assert sae.W_dec.dtype == torch.float32
    assert sae.config.k == 3


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"num_latents": 40}, r"^start: its num_latents is 37, but sae_config asks for 40$"),
        ({"normalize_decoder": False}, r"^start: its normalize_decoder is True, but sae_config "),
    ],
)
def test_another_shape_is_refused(activations, tmp_path, first, changed, told):
    shape = replace(SHAPE, **changed)
    with pytest.raises(ValueError, match=told):
        train(activations, tmp_path, "h", shape, CONFIG, start=open_start(first))


def test_several_seeds_of_one_start_are_refused(activations, tmp_path, first):
    config = replace(CONFIG, seeds=(0, 1))
    with pytest.raises(ValueError, match=r"^seeds: \(0, 1\) would become equal SAEs"):
        train(activations, tmp_path, "h", SHAPE, config, start=open_start(first))


def test_an_sae_that_cannot_be_trained_is_refused(tmp_path):
    save_sae(SAE(replace(SHAPE, activation="abs_topk"), seed=0), tmp_path / "abs_topk")
    with pytest.raises(ValueError, match=r"^start: .*/abs_topk: an SAE like this cannot"):
        open_start(tmp_path / "abs_topk")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    sae = SAE(SHAPE, seed=0)
    sae.b_dec.data[3] = float("nan")
    save_sae(sae, tmp_path / "bad")
    with pytest.raises(ValueError, match=r"^start: .*/bad: 'b_dec' holds numbers that are not "):
        open_start(tmp_path / "bad")
