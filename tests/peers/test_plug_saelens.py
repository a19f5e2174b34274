"""SAELens' training step with our kernels: its losses and gradients, its files."""

from contextlib import nullcontext

import pytest
import sae_lens
import torch
from sae_lens.registry import get_sae_training_class
from sae_lens.saes.sae import TrainStepInput
from twinsae.sae import load_sae, plug
from twinsae.sae.plug import patch

pytestmark = pytest.mark.peers
D, L, K = 12, 131, 5
PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")


def make(architecture="topk", **settings):
    """Stock's SAE and ours, with the same weights."""
    saes = []
    for plugged in (nullcontext, plug.saelens):
        with plugged():
            kind, config = get_sae_training_class(architecture)
        saes.append(kind(config(**{"d_in": D, "d_sae": L, "k": K} | settings)))
    return saes


@pytest.fixture
def pair(randomise):
    def pair(architecture="topk", **settings):
        stock, ours = make(architecture, **settings)
        randomise(stock)
        ours.load_state_dict(stock.state_dict())
        return stock, ours

    return pair


def run(sae, x, dead=None):
    batch = TrainStepInput(
        sae_in=x, coefficients={}, dead_neuron_mask=dead, n_training_steps=0, is_logging_step=False
    )
    sae.zero_grad()
    out = sae.training_forward_pass(step_input=batch)
    out.loss.backward()
    return out


def compare(stock, ours, x, dead=None):
    theirs, found = run(stock, x, dead), run(ours, x, dead)
    assert theirs.losses.keys() == found.losses.keys()
    for name, loss in theirs.losses.items():
        torch.testing.assert_close(found.losses[name], loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.sae_out, theirs.sae_out, rtol=1e-5, atol=1e-5)
    codes = found.feature_acts.to_dense()
    torch.testing.assert_close(codes, theirs.feature_acts.detach(), rtol=1e-5, atol=1e-5)
    for name in PARAMETERS:
        expected = getattr(stock, name).grad
        torch.testing.assert_close(getattr(ours, name).grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("dead", [None, 0, 3, 60])
def test_losses_and_gradients_are_saelens(pair, x, rescale, dead):
    mask = None if dead is None else torch.arange(L) < dead
    compare(*pair(rescale_acts_by_decoder_norm=rescale), x, mask)


MATRYOSHKA = {"matryoshka_widths": [10, 40, L]}
OF_BATCH = [("batchtopk", {}), ("batchtopk", {"k": 0.4}), ("matryoshka_batchtopk", MATRYOSHKA)]


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("dead", [None, 60])
@pytest.mark.parametrize(("architecture", "more"), OF_BATCH, ids=["batch", "less", "nested"])
def test_batch_topk_and_matryoshka(pair, x, architecture, more, rescale, dead):
    mask = None if dead is None else torch.arange(L) < dead
    stock, ours = pair(architecture, rescale_acts_by_decoder_norm=rescale, **more)
    for sae in (stock, ours):
        sae.topk_threshold.fill_(0.7)
    compare(stock, ours, x, mask)
    torch.testing.assert_close(ours.topk_threshold, stock.topk_threshold)
    assert ours.topk_threshold != 0.7


def test_an_auxiliary_loss_of_each_level_takes_saelens_own_way(pair, x):
    stock, ours = pair("matryoshka_batchtopk", use_matryoshka_aux_loss=True, **MATRYOSHKA)
    dead = torch.arange(L) % 3 == 0
    expected, found = run(stock, x, dead), run(ours, x, dead)
    assert expected.losses["auxiliary_reconstruction_loss"] > 0
    torch.testing.assert_close(found.loss, expected.loss)


@pytest.mark.parametrize(("architecture", "more"), OF_BATCH[::2], ids=["batch", "nested"])
def test_fifty_steps_of_batch_topk_and_matryoshka(train_saelens, tmp_path, x, architecture, more):
    torch.manual_seed(0)
    stock, ours = make(architecture, **more)
    ours.load_state_dict(stock.state_dict())
    expected, _ = train_saelens(stock, 50)
    found, _ = train_saelens(ours, 50)
    assert expected[-1] < 0.9 * expected[0]
    assert found == pytest.approx(expected, rel=1e-3)
    ours.save_inference_model(tmp_path)
    there = sae_lens.SAE.load_from_disk(tmp_path)
    assert type(there) is sae_lens.JumpReLUSAE
    torch.testing.assert_close(load_sae(tmp_path)(x).reconstruction, there(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"apply_b_dec_to_input": False},
        {"normalize_activations": "layer_norm"},
        {"normalize_activations": "constant_norm_rescale"},
        {"aux_loss_coefficient": 0.25},
    ],
)
def test_other_settings(pair, x, settings):
    normalised = "normalize_activations" in settings
    compare(*pair(**settings), x, None if normalised else torch.arange(L) % 3 == 0)


def test_an_auxiliary_loss_that_fits_no_normalisation_is_refused(pair, x):
    _, ours = pair(normalize_activations="layer_norm")
    with pytest.raises(ValueError, match="does not fit normalize_activations = 'layer_norm'"):
        run(ours, x, torch.ones(L, dtype=torch.bool))


def test_rows_without_positive_scores(pair, x):
    stock, ours = pair()
    for sae in (stock, ours):
        sae.b_enc.data.fill_(-100)
        sae.b_enc.data[5:7] = 100
    compare(stock, ours, x)


def test_autocast_is_respected(pair, x):
    stock, ours = pair(rescale_acts_by_decoder_norm=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs, found = run(stock, x), run(ours, x)
    assert found.feature_acts.dtype == torch.bfloat16  # theirs is what adding b_enc makes of it
    torch.testing.assert_close(found.loss.float(), theirs.loss.float(), rtol=0.02, atol=0)
    assert ours.W_enc.grad.dtype == torch.float32


def test_hooks_on_the_codes_see_them(pair, x):
    stock, ours = pair()
    seen = []
    for sae in (stock, ours):
        sae.hook_sae_acts_pre.add_hook(lambda value, hook: seen.append(value.detach()))  # noqa: ARG005
    compare_losses = run(stock, x).loss, run(ours, x).loss
    torch.testing.assert_close(*compare_losses)
    assert len(seen) == 2
    torch.testing.assert_close(*seen)


def test_fifty_steps_of_their_trainer_have_stocks_loss_curve(train_saelens):
    torch.manual_seed(0)
    stock, ours = make()
    ours.load_state_dict(stock.state_dict())
    expected, theirs = train_saelens(stock, 50)
    found, trainer = train_saelens(ours, 50)
    assert expected[-1] < 0.8 * expected[0]
    assert found == pytest.approx(expected, rel=1e-3)
    assert theirs.dead_neurons.any()  # so that the auxiliary loss took part
    torch.testing.assert_close(trainer.act_freq_scores, theirs.act_freq_scores, rtol=0.05, atol=5)


def test_its_files_are_saelens_own(pair, x, tmp_path):
    stock, ours = pair()
    run(ours, x)
    ours.save_inference_model(tmp_path / "inference")
    ours.save_model(tmp_path / "checkpoint")
    stock.save_inference_model(tmp_path / "stock")
    there = sae_lens.SAE.load_from_disk(tmp_path / "inference")
    assert type(there) is sae_lens.TopKSAE
    expected = sae_lens.SAE.load_from_disk(tmp_path / "stock")
    torch.testing.assert_close(there.encode(x), expected.encode(x))
    torch.testing.assert_close(
        load_sae(tmp_path / "checkpoint")(x).reconstruction, expected(x), rtol=1e-4, atol=1e-5
    )
    with plug.saelens():
        again = sae_lens.TrainingSAE.load_from_disk(tmp_path / "checkpoint")
    assert type(again) is type(ours)
    assert again.W_enc.T.is_contiguous()
    compare(stock, again, x)
    assert type(sae_lens.TrainingSAE.load_from_disk(tmp_path / "checkpoint")) is type(stock)


def test_the_registry_is_put_back_and_unknown_versions_are_refused(monkeypatch):
    before = get_sae_training_class("topk")
    with plug.saelens():
        assert get_sae_training_class("topk") != before
    assert get_sae_training_class("topk") == before
    from twinsae.sae.plug import saelens_patch

    saelens_patch.training_class.cache_clear()
    monkeypatch.setattr(patch, "version", lambda _: "7.0.0")
    with pytest.raises(RuntimeError, match=r"knows sae-lens 6\.x, but 7\.0\.0 is installed"):
        plug.saelens.enable()
