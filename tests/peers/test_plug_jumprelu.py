"""JumpReLU with our kernels, in SAELens and in dictionary_learning: their losses and gradients."""

import pytest
import sae_lens
import torch
from dictionary_learning.dictionary import JumpReluAutoEncoder
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.training import trainSAE
from dictionary_learning.utils import load_dictionary
from sae_lens.saes.sae import TrainStepInput
from twinsae.sae import load_sae, plug
from twinsae.sae.plug.dictionary_learning import FastJumpReluTrainer
from twinsae.sae.plug.saelens_patch import training_class

pytestmark = pytest.mark.peers
D, L = 12, 131
WIDTH = 0.5  # of the windows, so that many scores are in one


@pytest.fixture
def listed(monkeypatch):
    """Of the small SAEs here so many scores matter that no place would be listed."""
    monkeypatch.setattr("twinsae.sae.plug.above.DENSE_SHARE", 2)


@pytest.fixture
def pair(randomise):
    """SAELens' SAE and ours with the same weights, some thresholds below 0."""

    def pair(**settings):
        settings = {"d_in": D, "d_sae": L, "jumprelu_bandwidth": WIDTH} | settings
        config = sae_lens.JumpReLUTrainingSAEConfig(**settings)
        stock, ours = sae_lens.JumpReLUTrainingSAE(config), training_class("jumprelu")(config)
        randomise(stock)
        stock.threshold.data -= 0.2
        ours.load_state_dict(stock.state_dict())
        return stock, ours

    return pair


def run(sae, x, dead=None):
    step = TrainStepInput(
        sae_in=x, coefficients={"l0": 0.3}, dead_neuron_mask=dead, n_training_steps=0,
        is_logging_step=False,
    )  # fmt: skip
    out = sae.training_forward_pass(step_input=step)
    out.loss.backward()
    return out


def compare(stock, ours, x, dead=None):
    theirs, found = run(stock, x, dead), run(ours, x, dead)
    assert found.feature_acts.is_sparse
    assert list(found.losses) == list(theirs.losses)
    for name, loss in theirs.losses.items():
        torch.testing.assert_close(found.losses[name], loss, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(found.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.sae_out, theirs.sae_out, rtol=1e-5, atol=1e-5)
    codes, expected = found.feature_acts.to_dense(), theirs.feature_acts.detach().flatten(0, -2)
    torch.testing.assert_close(codes, expected, rtol=1e-5, atol=1e-5)
    assert (expected != 0).float().mean() < 0.9
    torch.testing.assert_close(ours.threshold, stock.threshold, rtol=0, atol=0)
    for name, p in stock.named_parameters():
        grad = ours.get_parameter(name).grad
        torch.testing.assert_close(grad, p.grad, rtol=1e-4, atol=2e-5, msg=name)
    return theirs


TO_INPUT = {"jumprelu_ste_to_input": True}


@pytest.mark.parametrize("to_input", [{}, TO_INPUT], ids=["", "to input"])
@pytest.mark.parametrize(
    "penalty",
    [
        {},
        {"jumprelu_sparsity_loss_mode": "tanh", "jumprelu_tanh_scale": 3.0},
        {"jumprelu_sparsity_loss_mode": "quadratic", "target_l0": 20.0},
        {"pre_act_loss_coefficient": 0.2},
    ],
    ids=["step", "tanh", "quadratic", "pre-act"],
)
@pytest.mark.usefixtures("listed")
def test_saelens_losses_and_gradients(pair, x, penalty, to_input):
    out = compare(*pair(**penalty, **to_input), x, torch.arange(L) % 3 == 0)
    assert out.losses.get("pre_act_loss", 1) > 0


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("dead", [None, torch.zeros(L, dtype=torch.bool)], ids=["none", "no"])
def test_saelens_without_dead_latents(pair, x, dead):
    compare(*pair(pre_act_loss_coefficient=0.2), x, dead)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    "settings", [{"apply_b_dec_to_input": False}, {"normalize_activations": "layer_norm"}]
)
def test_other_settings_of_saelens(pair, x, settings):
    compare(*pair(**settings), x)


@pytest.mark.usefixtures("listed")
def test_saelens_leading_dimensions(pair, x):
    compare(*pair(pre_act_loss_coefficient=0.2), x.view(4, 16, D), torch.arange(L) % 3 == 0)


@pytest.mark.usefixtures("listed")
def test_saelens_scores_at_their_threshold_and_rows_without_latents(pair, x):
    stock, ours = pair(pre_act_loss_coefficient=0.2)
    for sae in (stock, ours):
        sae.W_enc.data.fill_(0)
        sae.b_enc.data.fill_(-100)
        sae.b_enc.data[:9] = sae.threshold.data[:9] = 0.25
    compare(stock, ours, x, torch.arange(L) < 20)
    assert not run(ours, x).feature_acts.to_dense().any()


def test_saelens_own_way_where_many_latents_are_active_or_watched(pair, x, monkeypatch):
    stock, ours = pair()
    expected, found = run(stock, x), run(ours, x)
    assert not found.feature_acts.is_sparse
    torch.testing.assert_close(found.loss, expected.loss, rtol=0, atol=0)
    monkeypatch.setattr("twinsae.sae.plug.above.DENSE_SHARE", 2)
    for point in (ours.hook_sae_input, ours.hook_sae_acts_post):
        seen = []
        hook = point.register_forward_hook(lambda *_: seen.append(1))  # noqa: B023
        assert not run(ours, x).feature_acts.is_sparse
        hook.remove()
        assert len(seen) == 1
    assert run(ours, x).feature_acts.is_sparse


def test_saelens_names_the_setting_that_is_wrong(pair, x, listed):  # noqa: ARG001
    _, ours = pair(jumprelu_sparsity_loss_mode="steps")
    with pytest.raises(ValueError, match="jumprelu_sparsity_loss_mode: 'steps' is not known"):
        run(ours, x)


@pytest.mark.usefixtures("listed")
def test_fifty_steps_of_saelens_trainer_and_its_files(train_saelens, tmp_path, x):
    saes = []
    for plugged in (False, True):
        torch.manual_seed(0)
        kind = training_class("jumprelu") if plugged else sae_lens.JumpReLUTrainingSAE
        config = sae_lens.JumpReLUTrainingSAEConfig(
            d_in=D, d_sae=L, jumprelu_bandwidth=WIDTH, l0_coefficient=0.2, l0_warm_up_steps=20,
            pre_act_loss_coefficient=0.01,
        )  # fmt: skip
        saes.append(kind(config))
    (expected, theirs), (found, trainer) = (train_saelens(sae, 50) for sae in saes)
    assert found == pytest.approx(expected, rel=2e-3)
    assert expected[-1] < 0.9 * expected[0]
    assert (saes[0].threshold > 0.05).any()
    torch.testing.assert_close(saes[1].threshold, saes[0].threshold, rtol=0, atol=5e-3)
    torch.testing.assert_close(trainer.act_freq_scores, theirs.act_freq_scores, rtol=0.05, atol=9)
    saes[1].save_inference_model(tmp_path)
    there = sae_lens.SAE.load_from_disk(tmp_path)
    assert type(there) is sae_lens.JumpReLUSAE
    torch.testing.assert_close(load_sae(tmp_path)(x).reconstruction, there(x), rtol=1e-4, atol=1e-4)


def test_the_switch_covers_it():
    config = {"architecture": "jumprelu", "d_in": D, "d_sae": L}
    with plug.saelens():
        assert type(sae_lens.TrainingSAE.from_dict(config)) is training_class("jumprelu")
    assert type(sae_lens.TrainingSAE.from_dict(config)) is sae_lens.JumpReLUTrainingSAE


def settings(**more):
    base = {"steps": 100, "activation_dim": D, "dict_size": L, "layer": 0, "lm_name": "m"}
    base |= {"warmup_steps": 5, "sparsity_warmup_steps": 10, "seed": 1, "lr": 3e-3}
    return base | {"bandwidth": WIDTH, "target_l0": 20.0} | more


def trainers(**more):
    pair = []
    for kind in (JumpReluTrainer, FastJumpReluTrainer):
        torch.manual_seed(0)  # theirs ignores its own seed
        pair.append(kind(**settings(**more)))
    return pair


def vary(trainer):
    """Thresholds on both sides of 0 and of the window, and biases that silence some latents."""
    trainer.ae.threshold.data.copy_(torch.linspace(-0.4, 0.9, L))
    trainer.ae.b_enc.data.copy_(torch.linspace(1, -1, L))
    trainer.ae.b_enc.data[::5] = -100
    trainer.ae.b_dec.data.fill_(0.1)


@pytest.mark.usefixtures("listed")
def test_dictionary_learning_gradients(batch):
    stock, ours = trainers()
    losses = []
    for trainer in (stock, ours):
        vary(trainer)
        losses.append(trainer.loss(batch(0), step=4))
        losses[-1].backward()
    torch.testing.assert_close(losses[1], losses[0])
    assert torch.equal(ours.num_tokens_since_fired, stock.num_tokens_since_fired)
    for (name, p), q in zip(stock.ae.named_parameters(), ours.ae.parameters(), strict=True):
        assert p.grad.abs().max() > 0.01
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.usefixtures("listed")
def test_dictionary_learning_thresholds_learn_from_silent_latents(batch):
    """A value of 0 is in the window around a small threshold: that is theirs, and ours with it."""
    stock, ours = trainers()
    for trainer in (stock, ours):
        trainer.ae.b_enc.data.fill_(-100)
        trainer.ae.threshold.data.copy_(torch.linspace(-0.4, 0.9, L))
        trainer.loss(batch(0), step=50).backward()
    torch.testing.assert_close(ours.ae.threshold.grad, stock.ae.threshold.grad)
    assert (stock.ae.threshold.grad != 0).sum() == (stock.ae.threshold.abs() < WIDTH / 2).sum() > 0
    assert torch.equal(ours.num_tokens_since_fired, stock.num_tokens_since_fired)


@pytest.mark.usefixtures("listed")
def test_dictionary_learning_log(batch):
    stock, ours = trainers()
    logs = []
    for trainer in (stock, ours):
        trainer.dead_feature_threshold = 10
        vary(trainer)
        logs.append(trainer.loss(batch(3), step=2, logging=True))
    assert logs[1]._fields == logs[0]._fields
    for part, expected in zip(logs[1][:3], logs[0][:3], strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)
    assert logs[1].losses == pytest.approx(logs[0].losses)
    assert ours.get_logging_parameters() == stock.get_logging_parameters()
    assert stock.dead_features > 0


@pytest.mark.usefixtures("listed")
def test_fifty_steps_of_dictionary_learnings_trainer(batch):
    stock, ours = trainers()
    losses = [[t.update(step, batch(step)) for step in range(50)] for t in (stock, ours)]
    assert losses[0][-1] < 0.9 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    torch.testing.assert_close(ours.ae.threshold, stock.ae.threshold, rtol=0, atol=5e-3)


def test_dictionary_learnings_own_way_where_many_latents_are_active(batch, monkeypatch):
    monkeypatch.setattr("twinsae.sae.plug.dictionary_learning.jump", None)
    stock, ours = trainers()
    losses = [trainer.loss(batch(0), step=4) for trainer in (stock, ours)]
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=0)
    assert torch.equal(ours.num_tokens_since_fired, stock.num_tokens_since_fired)


@pytest.mark.usefixtures("listed")
def test_dictionary_learnings_loop_trains_and_saves_with_it(batch, tmp_path):
    config = settings(trainer=FastJumpReluTrainer, steps=30)
    trainSAE(map(batch, range(30)), [config], steps=30, save_dir=str(tmp_path), device="cpu")
    ae, _ = load_dictionary(str(tmp_path / "trainer_0"), device="cpu")
    assert type(ae) is JumpReluAutoEncoder
    found = load_sae(tmp_path / "trainer_0")(batch(1)).reconstruction
    torch.testing.assert_close(found, ae(batch(1)), rtol=1e-5, atol=1e-5)
