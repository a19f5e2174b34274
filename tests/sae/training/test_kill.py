"""Training processes that are really killed (SIGKILL), at moments that nobody chose."""

import json
import multiprocessing
import random
import runpy
import time

import pytest
from twinsae.sae import SAEConfig, TrainConfig, train
from twinsae.sae.activations.store import open_activations

SCRIPT = """
from pathlib import Path
from twinsae.sae import SAEConfig, TrainConfig, train
from twinsae.sae.activations.store import open_activations

train(open_activations(Path({data!r})), Path({run!r}), "h", {shape}, {config})
"""
SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(
    seeds=(0, 1), batch_size=20, epochs=5, lr=1e-2, warmup_steps=5, save_every=4, log_every=3
)  # 100 steps, 25 checkpoints of each seed


@pytest.fixture
def start(small_file, tmp_path):
    """Start the training of `tmp_path / "killed"` in a process of its own."""
    run = tmp_path / "killed"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(data=str(small_file), run=str(run), shape=SHAPE, config=CONFIG))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["twinsae.sae"])

    def start():
        process = context.Process(target=runpy.run_path, args=(str(script),))
        process.start()
        return process

    return start


def identity(path):
    """Return what changes when the file is replaced."""
    return path.stat().st_ino if path.exists() else None


def wait_for_replacements(process, path, count):
    for _ in range(count):
        before = identity(path)
        while process.is_alive() and identity(path) == before:
            pass


def seed_log(run, seed):
    lines = (run / "log.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line)["seed"] == seed]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(start, small_file, tmp_path):
    train(open_activations(small_file), tmp_path / "whole", "h", SHAPE, CONFIG)
    run = tmp_path / "killed"
    generator = random.Random(0)
    kills = 0
    for attempt in range(8):
        process = start()
        if attempt % 2:  # just after one seed's checkpoint appeared, often before the other's
            path = run / f"h/seed{attempt // 2 % 2}/checkpoint.safetensors"
            wait_for_replacements(process, path, generator.randrange(1, 5))
        else:
            wait_for_replacements(process, run / "h/seed0/sae.safetensors", 1)
            time.sleep(generator.random() * 0.1)
        process.kill()
        process.join()
        kills += process.exitcode == -9
    assert kills >= 5
    process = start()
    process.join()
    assert process.exitcode == 0
    for seed in CONFIG.seeds:
        files = sorted((tmp_path / "whole/h" / f"seed{seed}").iterdir())
        assert len(files) == 4
        for expected in files:
            assert (run / "h" / f"seed{seed}" / expected.name).read_bytes() == expected.read_bytes()
        assert seed_log(run, seed) == seed_log(tmp_path / "whole", seed)
    assert not list(run.rglob(".*.tmp"))
