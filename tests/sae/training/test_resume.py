"""A run that was stopped goes on to the same bits; see also test_kill.py."""

import importlib
import json
from dataclasses import replace

import pytest
import torch
from twinsae.sae import SAEConfig, TrainConfig, train

# So many latents that some are silent for long: the counters matter.
SHAPE = SAEConfig(d_in=13, num_latents=150, k=5)
CONFIG = TrainConfig(
    seeds=(0, 1),
    batch_size=50,
    epochs=2,
    lr=1e-2,
    warmup_steps=5,
    dead_after=150,
    save_every=5,
    log_every=2,
)


@pytest.fixture
def stopped(interrupt_at):
    """Train until a given step is done, and no further."""

    def train_until(step, activations, run):
        with pytest.raises(KeyboardInterrupt):
            train(activations, run, "h", SHAPE, CONFIG, progress=interrupt_at(step))

    return train_until


def seed_files(run, seed):
    return {path.name: path.read_bytes() for path in (run / "h" / f"seed{seed}").iterdir()}


def seed_log(run, seed):
    lines = (run / "log.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line)["seed"] == seed]


def assert_same_run(run, expected, seeds=CONFIG.seeds):
    for seed in seeds:
        assert seed_files(run, seed) == seed_files(expected, seed), seed
        assert seed_log(run, seed) == seed_log(expected, seed), seed


@pytest.fixture
def whole(activations, tmp_path):
    """The run that was never stopped: 16 steps."""
    train(activations, tmp_path / "whole", "h", SHAPE, CONFIG)
    return tmp_path / "whole"


@pytest.mark.parametrize("steps", [(1,), (5,), (7,), (14,), (15,), (3, 8, 12), (16,)])
def test_a_stopped_run_goes_on_to_the_same_files(stopped, activations, tmp_path, whole, steps):
    for step in steps:
        stopped(step, activations, tmp_path / "run")
    train(activations, tmp_path / "run", "h", SHAPE, CONFIG)
    assert_same_run(tmp_path / "run", whole)


def test_a_run_stopped_between_two_seeds_checkpoints(activations, tmp_path, whole, monkeypatch):
    """Seed 0 is then at step 10, seed 1 at step 5: seed 1 catches up alone."""
    module = importlib.import_module("twinsae.sae.training.trainer")

    def save(learner, path, settings, save=module.save_checkpoint):
        if learner.job.seed == 1 and learner.step == 10:
            raise KeyboardInterrupt
        save(learner, path, settings)

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", save)
        with pytest.raises(KeyboardInterrupt):
            train(activations, tmp_path / "run", "h", SHAPE, CONFIG)
    activations.served = 0
    train(activations, tmp_path / "run", "h", SHAPE, CONFIG)
    assert activations.served == 16 - 5
    assert_same_run(tmp_path / "run", whole)


def test_only_the_missing_steps_are_trained(stopped, activations, tmp_path):
    stopped(12, activations, tmp_path)
    activations.served = 0
    train(activations, tmp_path, "h", SHAPE, CONFIG)
    assert activations.served == 6


def test_a_finished_run_is_returned_without_training(activations, tmp_path, same_bits, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    activations.served = 0
    calls = []
    saes = train(
        activations, whole, "h", SHAPE, CONFIG, progress=lambda *args, **_: calls.append(args)
    )
    assert activations.served == 0
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before
    assert calls == [("train", 16, 16, "steps")]
    trained = train(activations, tmp_path / "again", "h", SHAPE, CONFIG)
    assert same_bits(saes, trained)


def test_seeds_are_added_to_a_finished_run(activations, tmp_path, whole):
    before = seed_files(whole, 0)
    more = replace(CONFIG, seeds=(2, 0, 1))
    saes = train(activations, whole, "h", SHAPE, more)
    assert seed_files(whole, 0) == before
    train(activations, tmp_path / "at once", "h", SHAPE, more)
    assert_same_run(whole, tmp_path / "at once", seeds=(0, 1, 2))
    fresh = train(activations, tmp_path / "at once", "h", SHAPE, replace(CONFIG, seeds=(2,)))
    assert torch.equal(saes[0].W_dec, fresh[0].W_dec)


def test_saving_and_logging_may_change_in_between(stopped, activations, tmp_path, whole):
    stopped(11, activations, tmp_path / "run")
    changed = replace(CONFIG, save_every=100, log_every=3)
    train(activations, tmp_path / "run", "h", SHAPE, changed)
    for seed in CONFIG.seeds:
        assert seed_files(tmp_path / "run", seed) == seed_files(whole, seed)


@pytest.mark.parametrize(
    ("shape", "config", "name"),
    [
        ({}, {"lr": 2e-2}, "lr"),
        ({}, {"lr": None}, "lr"),
        ({}, {"epochs": 3}, "epochs"),
        ({}, {"batch_size": 40}, "batch_size"),
        ({}, {"warmup_steps": 6}, "warmup_steps"),
        ({}, {"shuffle_seed": 1}, "shuffle_seed"),
        ({}, {"dead_after": 100}, "dead_after"),
        ({"k": 4}, {}, "k"),
        ({"num_latents": 38}, {}, "num_latents"),
        ({"normalize_decoder": False}, {}, "normalize_decoder"),
    ],
)
def test_other_settings_are_refused_by_name(stopped, activations, tmp_path, shape, config, name):
    stopped(7, activations, tmp_path)
    before = seed_files(tmp_path, 0), seed_log(tmp_path, 0)
    with pytest.raises(
        ValueError, match=rf"seed0/checkpoint\.safetensors was trained with {name} = "
    ):
        train(activations, tmp_path, "h", replace(SHAPE, **shape), replace(CONFIG, **config))
    assert (seed_files(tmp_path, 0), seed_log(tmp_path, 0)) == before


def test_other_activations_are_refused(stopped, activations, tmp_path):
    stopped(7, activations, tmp_path)
    activations.fingerprint = "other"
    with pytest.raises(ValueError, match=r"was trained with activations = 'memory .* not 'other'"):
        train(activations, tmp_path, "h", SHAPE, CONFIG)


def test_another_seeds_checkpoint_is_refused(activations, whole):
    (whole / "h/seed1").rename(whole / "h/seed2")
    with pytest.raises(ValueError, match=r"was trained with seed = 1, not 2"):
        train(activations, whole, "h", SHAPE, replace(CONFIG, seeds=(0, 2)))


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def replace_by_weights(path):
    path.write_bytes(path.with_name("sae.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, r"is truncated: [\d,]+ bytes"),
        (flip_a_bit, "is corrupt: its checksum"),
        (empty, "is no safetensors file"),
        (replace_by_weights, "is no checkpoint of this version"),
    ],
)
def test_a_damaged_checkpoint_gives_one_clear_error(stopped, activations, tmp_path, damage, reason):
    stopped(7, activations, tmp_path)
    damage(tmp_path / "h/seed1/checkpoint.safetensors")
    before = seed_files(tmp_path, 1), seed_log(tmp_path, 0), seed_log(tmp_path, 1)
    with pytest.raises(ValueError, match=rf"seed1/checkpoint\.safetensors {reason}") as caught:
        train(activations, tmp_path, "h", SHAPE, CONFIG)
    assert "move it away to train seed 1 from the start, or restore a copy" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (seed_files(tmp_path, 1), seed_log(tmp_path, 0), seed_log(tmp_path, 1)) == before


def test_a_damaged_checkpoint_moved_away_is_trained_anew(activations, tmp_path, whole):
    path = whole / "h/seed1/checkpoint.safetensors"
    expected = seed_files(whole, 1), seed_log(whole, 1)
    truncate(path)
    path.rename(tmp_path / "moved")
    train(activations, whole, "h", SHAPE, CONFIG)
    assert (seed_files(whole, 1), seed_log(whole, 1)) == expected
