"""Training processes that are really killed (SIGKILL), at moments that nobody chose."""

import json
import multiprocessing
import random
import runpy
import time
from dataclasses import replace

import pytest
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import StoredBatches, open_activations
from twinsae.sae.training import Job, train_many

SCRIPT = """
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import StoredBatches, open_activations
from twinsae.sae.training import Job, train_many

train_many(StoredBatches({{"h": open_activations({data!r})}}), {run!r}, {jobs})
"""
CONFIG = TrainConfig(
    batch_size=20, epochs=3, lr=1e-2, warmup_steps=5, save_every=4, log_every=3, dead_after=100
)  # 60 steps, 15 checkpoints of each SAE


def job(activation, seed=0, **settings):
    config = replace(CONFIG, **settings)
    folder = f"h/{activation}/seed{seed}"
    return Job("h", SAEConfig(13, 40, k=5, activation=activation), config, seed, folder)


JOBS = [
    job("topk", 0),
    job("topk", 1),
    job("batch_topk", aux=0.1, moments="bfloat16"),
    job("groupmax"),
    job("relu", sparsity=1.0, precision="bfloat16", input_scale="sqrt_d"),
    job("gated", sparsity=0.2, optimizer="muon"),
    job("jumprelu", sparsity=0.2, bandwidth=0.5, pre_act=0.1, optimizer="signum"),
]


@pytest.fixture
def start(small_file, tmp_path):
    """Start the training of `tmp_path / "killed"` in a process of its own."""
    run = tmp_path / "killed"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(data=str(small_file), run=str(run), jobs=JOBS))
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


def log_of(run, one):
    lines = (run / "log.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line)["sae"] == one.folder]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(start, small_file, tmp_path):
    train_many(StoredBatches({"h": open_activations(small_file)}), tmp_path / "whole", JOBS)
    run = tmp_path / "killed"
    generator = random.Random(0)
    kills = 0
    for attempt in range(4):
        process = start()
        if attempt % 2:  # just after one seed's checkpoint appeared, often before the other's
            path = run / f"{JOBS[attempt % len(JOBS)].folder}/checkpoint.safetensors"
            wait_for_replacements(process, path, generator.randrange(1, 5))
        else:
            wait_for_replacements(process, run / "h/topk/seed0/sae.safetensors", 1)
            time.sleep(generator.random() * 0.1)
        process.kill()
        process.join()
        kills += process.exitcode == -9
    assert kills >= 3
    process = start()
    process.join()
    assert process.exitcode == 0
    for one in JOBS:
        files = sorted((tmp_path / "whole" / one.folder).iterdir())
        assert len(files) == 4
        for expected in files:
            assert (run / one.folder / expected.name).read_bytes() == expected.read_bytes()
        assert log_of(run, one) == log_of(tmp_path / "whole", one)
    assert not list(run.rglob(".*.tmp"))
