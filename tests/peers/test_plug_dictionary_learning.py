"""dictionary_learning's trainer with our kernels: its losses, weights and files."""

import json
from importlib import reload

import pytest
import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from dictionary_learning.trainers.top_k import AutoEncoderTopK, TopKTrainer
from dictionary_learning.training import trainSAE
from dictionary_learning.utils import load_dictionary
from twinsae.sae import load_sae
from twinsae.sae.plug import dictionary_learning as plug
from twinsae.sae.plug import patch

pytestmark = pytest.mark.peers
D, L, K = 12, 131, 5


def settings(**more):
    base = {"steps": 100, "activation_dim": D, "dict_size": L, "k": K, "layer": 0, "lm_name": "m"}
    base |= {"warmup_steps": 5, "device": "cpu", "seed": 1, "lr": 3e-3, "threshold_start_step": 10}
    return base | more


def make(**more):
    trainers = TopKTrainer(**settings(**more)), plug.FastTopKTrainer(**settings(**more))
    for trainer in trainers:
        trainer.dead_feature_threshold = 64  # so that AuxK takes part in every step
    return trainers


GROUPS = {"group_fractions": [0.25, 0.25, 0.5]}
OF_BATCH = [
    (BatchTopKTrainer, plug.FastBatchTopKTrainer, {}),
    (MatryoshkaBatchTopKTrainer, plug.FastMatryoshkaBatchTopKTrainer, GROUPS),
    (
        MatryoshkaBatchTopKTrainer,
        plug.FastMatryoshkaBatchTopKTrainer,
        GROUPS | {"group_weights": [1.0, 0.5, 0.2]},
    ),
]


def batch(step):
    return torch.randn(64, D, generator=torch.Generator().manual_seed(step)).exp()


@pytest.mark.parametrize("auxk_alpha", [0, 1 / 32])
def test_fifty_steps_of_their_trainer_have_stocks_numbers(auxk_alpha):
    stock, ours = make(auxk_alpha=auxk_alpha)
    losses = [[t.update(step, batch(step)) for step in range(50)] for t in (stock, ours)]
    assert losses[0][-1] < 0.8 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert ours.dead_features == stock.dead_features
    assert (stock.dead_features > 0) == (auxk_alpha > 0)
    assert torch.equal(ours.num_tokens_since_fired, stock.num_tokens_since_fired)
    assert ours.get_logging_parameters().keys() == stock.get_logging_parameters().keys()
    torch.testing.assert_close(ours.ae.threshold, stock.ae.threshold, rtol=1e-3, atol=0)
    for (name, p), q in zip(stock.ae.named_parameters(), ours.ae.parameters(), strict=True):
        torch.testing.assert_close(q, p, rtol=1e-2, atol=2e-3, msg=name)


@pytest.mark.parametrize("positives", [K, K - 1, 1, 0])
@pytest.mark.parametrize("dead", [0, 3, 40])
def test_gradients_are_stocks(positives, dead):
    stock, ours = make()
    x = batch(0)
    for trainer in (stock, ours):
        trainer.num_tokens_since_fired[L - dead :] = 10**6
        trainer.ae.encoder.bias.data.copy_(torch.linspace(-1, 1, L))
        if positives < K:
            trainer.ae.encoder.bias.data.fill_(-100)
            trainer.ae.encoder.bias.data[:positives] = 100
        trainer.ae.b_dec.data.fill_(0.1)
        trainer.loss(x, step=1).backward()
    for (name, p), q in zip(stock.ae.named_parameters(), ours.ae.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(("theirs", "fast", "more"), OF_BATCH, ids=["batch", "equal", "weighted"])
def test_fifty_steps_of_batch_topk_and_matryoshka_have_stocks_numbers(theirs, fast, more):
    stock, ours = theirs(**settings(**more)), fast(**settings(**more))
    losses = []
    for trainer in (stock, ours):
        trainer.dead_feature_threshold = 64 * 3
        losses.append([trainer.update(step, batch(step)) for step in range(50)])
    assert losses[0][-1] < 0.9 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert ours.dead_features == stock.dead_features > 0
    torch.testing.assert_close(ours.ae.threshold, stock.ae.threshold, rtol=1e-3, atol=0)
    logs = [trainer.loss(batch(3), step=2, logging=True) for trainer in (stock, ours)]
    for part, expected in zip(logs[1][:3], logs[0][:3], strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-2, atol=1e-2)
    assert logs[1].losses == pytest.approx(logs[0].losses, rel=1e-3)


@pytest.mark.parametrize(("theirs", "fast", "more"), OF_BATCH, ids=["batch", "equal", "weighted"])
@pytest.mark.parametrize("positives", [L, 3, 0])
def test_gradients_of_batch_topk_and_matryoshka_are_stocks(theirs, fast, more, positives):
    stock, ours = theirs(**settings(**more)), fast(**settings(**more))
    x = batch(0)
    for trainer in (stock, ours):
        trainer.num_tokens_since_fired[L - 40 :] = 10**8
        bias = trainer.ae.b_enc if more else trainer.ae.encoder.bias
        bias.data.copy_(torch.linspace(1, -1, L))
        bias.data[positives:] -= 100 * (positives < L)
        trainer.ae.b_dec.data.fill_(0.1)
        trainer.loss(x, step=1).backward()
    assert ours.dead_features == stock.dead_features > 0
    for (name, p), q in zip(stock.ae.named_parameters(), ours.ae.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_latents_without_a_value_do_not_count_as_fired():
    """Stock counts those that topk happened to name for a value of 0."""
    stock, ours = make()
    for trainer in (stock, ours):
        trainer.ae.encoder.bias.data.fill_(-100)
        trainer.loss(batch(0), step=1)
    assert (stock.num_tokens_since_fired == 0).any()
    assert (ours.num_tokens_since_fired == 64).all()


def test_the_log_has_the_codes():
    stock, ours = make()
    logs = [trainer.loss(batch(3), step=2, logging=True) for trainer in (stock, ours)]
    for ours_part, theirs in zip(logs[1][:3], logs[0][:3], strict=True):
        torch.testing.assert_close(ours_part, theirs, rtol=1e-5, atol=1e-5)
    assert logs[1].losses == pytest.approx(logs[0].losses)


def test_their_own_loop_trains_and_saves_with_it(tmp_path):
    config = settings(trainer=plug.FastTopKTrainer)
    trainSAE(map(batch, range(30)), [config], steps=30, save_dir=str(tmp_path), device="cpu")
    folder = tmp_path / "trainer_0"
    assert (
        json.loads((folder / "config.json").read_text())["trainer"]["dict_class"]
        == "AutoEncoderTopK"
    )
    ae, _ = load_dictionary(str(folder), device="cpu")
    assert type(ae) is AutoEncoderTopK
    torch.testing.assert_close(
        load_sae(folder)(batch(1)).reconstruction, ae(batch(1)), rtol=1e-5, atol=1e-5
    )


def test_autocast_is_respected():
    stock, ours = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [trainer.loss(batch(0), step=1) for trainer in (stock, ours)]
    torch.testing.assert_close(losses[1].float(), losses[0].float(), rtol=0.02, atol=0)


def test_an_unknown_version_is_refused(monkeypatch):
    monkeypatch.setattr(patch, "version", lambda _: "1.0.0")
    with pytest.raises(RuntimeError, match=r"knows dictionary-learning 0\.1\.x, but 1\.0\.0"):
        reload(plug)
