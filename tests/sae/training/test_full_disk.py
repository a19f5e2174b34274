"""A disk that fills up while training, imitated by the limit on a file's size."""

import resource
from contextlib import contextmanager
from dataclasses import replace

import pytest
from twinsae.sae import SAEConfig, TrainConfig, load_sae, train
from twinsae.sae.formats.tensors import map_tensors

SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(seeds=(0, 1), batch_size=50, epochs=2, lr=1e-2, save_every=5, log_every=100)


@contextmanager
def files_limited_to(size):
    """Let writes beyond `size` bytes of a file fail (Python ignores the signal SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def begun(activations, tmp_path, interrupt_at):
    """A run stopped after its checkpoint of step 5."""
    with pytest.raises(KeyboardInterrupt):
        train(activations, tmp_path / "run", "h", SHAPE, CONFIG, progress=interrupt_at(7))
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "sae.safetensors"])
def test_a_full_disk_loses_nothing(activations, tmp_path, same_bits, begun, name):
    run = begun
    saved = {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()}
    path = run / "h/seed0" / name
    with (
        files_limited_to(path.stat().st_size - 100),
        pytest.raises(OSError, match=rf"cannot write {path}: File too large$"),
    ):
        train(activations, run, "h", SHAPE, CONFIG)
    assert {path for path in run.rglob("*") if path.is_file()} == set(saved)
    for seed in CONFIG.seeds:
        checkpoint = run / f"h/seed{seed}/checkpoint.safetensors"
        assert checkpoint.read_bytes() == saved[checkpoint]
        load_sae(checkpoint.parent)
    map_tensors(path)
    resumed = train(activations, run, "h", SHAPE, CONFIG)
    whole = train(activations, tmp_path / "whole", "h", SHAPE, CONFIG)
    assert same_bits(resumed, whole)


def test_a_disk_that_is_full_when_training_is_to_stop_loses_nothing(activations, same_bits, begun):
    checkpoint = begun / "h/seed1/checkpoint.safetensors"
    before = checkpoint.read_bytes()
    with files_limited_to(len(before) - 100), pytest.raises(OSError, match="cannot write"):
        train(activations, begun, "h", SHAPE, CONFIG, stop=lambda: True)
    assert checkpoint.read_bytes() == before
    resumed = train(activations, begun, "h", SHAPE, CONFIG)
    assert same_bits(resumed, train(activations, begun.parent / "whole", "h", SHAPE, CONFIG))


def test_a_log_that_cannot_grow_is_told_by_name(activations, tmp_path, same_bits, begun):
    log = begun / "log.jsonl"
    with (
        files_limited_to(log.stat().st_size + 50),
        pytest.raises(OSError, match=rf"cannot write {log}: File too large$"),
    ):
        train(activations, begun, "h", SHAPE, replace(CONFIG, log_every=1, save_every=100))
    resumed = train(activations, begun, "h", SHAPE, CONFIG)
    assert same_bits(resumed, train(activations, tmp_path / "whole", "h", SHAPE, CONFIG))
    assert len(log.read_text().splitlines()) == 2 * 2
