"""Training that is asked to stop saves every SAE at its step and goes on to the same bits."""

import json
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from twinsae.sae import SAEConfig, TrainConfig, train
from twinsae.sae.activations import StoredBatches
from twinsae.sae.training import Job, StoppedError, train_many

SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(seeds=(0, 1), batch_size=50, epochs=2, lr=1e-2, save_every=5, log_every=3)


def files(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def stop_after(steps):
    """Return a `stop` that says yes when it is asked for the so-many-th time."""
    answers = iter([False] * (steps - 1) + [True])
    return lambda: next(answers)


@pytest.mark.parametrize("step", [1, 5, 7, 15])
def test_a_run_that_was_asked_to_stop_ends_as_if_it_never_was(activations, tmp_path, step):
    train(activations, tmp_path / "whole", "h", SHAPE, CONFIG)
    with pytest.raises(StoppedError, match=rf"^training was stopped at step {step} of 16, and sav"):
        train(activations, tmp_path / "run", "h", SHAPE, CONFIG, stop=stop_after(step))
    served = activations.served
    train(activations, tmp_path / "run", "h", SHAPE, CONFIG)
    assert activations.served - served == 16 - step  # nothing was computed again
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_the_last_step_is_never_stopped(activations, tmp_path):
    asked = []
    train(activations, tmp_path, "h", SHAPE, CONFIG, stop=lambda: bool(asked.append(1)))
    assert len(asked) == 15


def test_on_log_hears_the_log_and_why_an_sae_failed(activations, tmp_path):
    wild = replace(CONFIG, lr=1e30, warmup_steps=0)
    jobs = [Job("h", SHAPE, CONFIG, 0, "h/calm"), Job("h", SHAPE, wild, 0, "h/wild")]
    told = []
    with pytest.raises(ValueError, match="h/wild diverged"):
        train_many(StoredBatches({"h": activations}), tmp_path, jobs, on_log=told.extend)
    (failed,) = [record for record in told if "failure" in record]
    assert failed.keys() == {"step", "sae", "failure"}
    assert failed["sae"] == "h/wild"
    assert f"diverged at step {failed['step']}," in failed["failure"]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [record for record in told if record is not failed] == [json.loads(x) for x in lines]


@pytest.mark.slow
def test_a_signal_saves_and_says_what_to_type(small_file, tmp_path):
    settings = "--latents 37 --k 5 --batch-size 20 --epochs 40 --save-every 10_000 --log-every 100"
    words = ["train", "--activations", str(small_file), "--hookpoint", "h", *settings.split()]

    def command(run):
        return [sys.executable, "-m", "twinsae.cli.main", *words, "--out", str(tmp_path / run)]

    subprocess.run(command("whole"), check=True, capture_output=True)
    generator = random.Random(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(command("run"), stderr=subprocess.PIPE, text=True)
        before = files(tmp_path / "run") if (tmp_path / "run").exists() else {}
        while files(tmp_path / "run") == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2 * generator.random())
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 128 + number
        found = re.search(r"stopped at step ([\d,]+) of 800; to go on, type: (.*)\n$", err)
        assert shlex.split(found[2]) == ["twinsae", *words, "--out", str(tmp_path / "run")]
        checkpoint = tmp_path / "run/h/seed1/checkpoint.safetensors"
        assert f'"step":"{found[1]}"'.encode() in checkpoint.read_bytes()
    subprocess.run(command("run"), check=True, capture_output=True)
    assert files(tmp_path / "run") == files(tmp_path / "whole")
