from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from twinsae.sae import SAEConfig, TrainConfig, train

SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(seeds=(0, 1), batch_size=50, epochs=1, save_every=3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_activations_are_refused_with_step_and_row(activations, tmp_path, bad):
    order = torch.randperm(400, generator=torch.Generator().manual_seed(42))
    activations.x[order[5 * 50 + 7], 3] = bad  # row 7 of step 6
    message = rf"^activations: row 7 of the batch of step 6 of training holds {bad}$"
    with pytest.raises(ValueError, match=message):
        train(activations, tmp_path, "h", SHAPE, CONFIG)


def test_bad_activations_harm_no_weights(activations, tmp_path, same_bits):
    """The run goes on from its checkpoint at step 3 once the activations are repaired."""
    order = torch.randperm(400, generator=torch.Generator().manual_seed(42))
    good = activations.x.clone()
    activations.x[order[5 * 50 + 7], 3] = float("nan")
    with pytest.raises(ValueError, match="step 6"):
        train(activations, tmp_path / "a", "h", SHAPE, CONFIG)
    activations.x = good
    resumed = train(activations, tmp_path / "a", "h", SHAPE, CONFIG)
    whole = train(activations, tmp_path / "b", "h", SHAPE, CONFIG)
    assert same_bits(resumed, whole)


def test_a_bad_first_batch_writes_nothing(activations, tmp_path):
    activations.x[:] = float("nan")
    with pytest.raises(ValueError, match="row 0 of the batch of step 1"):
        train(activations, tmp_path, "h", SHAPE, CONFIG)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_activations_without_variance_are_refused(activations, tmp_path):
    activations.x[:] = 2.0
    with pytest.raises(ValueError, match="the rows of the batch of step 1 of training are all eq"):
        train(activations, tmp_path, "h", SHAPE, CONFIG)


def test_activations_beyond_float32_are_refused(activations, tmp_path):
    activations.x *= 1e30
    with pytest.raises(ValueError, match=r"variance of the batch of step 1 .* is beyond float32"):
        train(activations, tmp_path, "h", SHAPE, CONFIG)


def test_a_wrong_width_is_refused(activations, tmp_path):
    with pytest.raises(ValueError, match=r"d_in: the SAE expects .* width 14, these have 13"):
        train(activations, tmp_path, "h", replace(SHAPE, d_in=14), CONFIG)


def test_a_batch_larger_than_the_store_is_refused(activations, tmp_path):
    with pytest.raises(ValueError, match="batch_size: 401 is more than the 400 activations"):
        train(activations, tmp_path, "h", SHAPE, replace(CONFIG, batch_size=401))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_a_hookpoint_must_name_a_folder(activations, tmp_path, name):
    with pytest.raises(ValueError, match=r"hookpoint: .* cannot name a folder"):
        train(activations, tmp_path, name, SHAPE, CONFIG)


def test_a_run_folder_that_is_a_file_is_refused(activations, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"):
        train(activations, tmp_path / "run", "h", SHAPE, CONFIG)


def test_a_diverging_seed_is_told_and_never_saved(activations, tmp_path):
    config = replace(CONFIG, lr=1e25, warmup_steps=0, save_every=1)
    with pytest.raises(ValueError, match=r"^lr: h/seed0 diverged at step 2, its FVU is (inf|nan)"):
        train(activations, tmp_path, "h", SHAPE, config)
    saved = load_file(tmp_path / "h/seed0/checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in saved.values())
