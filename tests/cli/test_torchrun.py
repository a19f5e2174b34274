"""`torchrun -m twinsae.cli train`, of which a process is killed, and the same command again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from twinsae.cli.main import main

SETTINGS = "--latents 38 --k 5 --seeds 0 1 2 --batch-size 20 --epochs 20 --save-every 40"


def start(words):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*command, "-m", "twinsae.cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def number_of(rank, parent):
    """Return the process of a rank, among the children of ``parent``."""
    for folder in Path("/proc").iterdir():
        try:
            told = (folder / "environ").read_bytes().split(b"\0")
            of = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if of == str(parent.pid) and f"RANK={rank}".encode() in told:
            return int(folder.name)
    raise AssertionError


def files(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_in_one_line_and_the_same_command_goes_on(tmp_path):
    data = tmp_path / "activations.safetensors"
    generator = torch.Generator().manual_seed(0)
    save_file({"activations": torch.randn(400, 13, generator=generator)}, data)
    words = ["train", "--activations", str(data), "--hookpoint", "h", *SETTINGS.split()]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0

    words += ["--out", str(tmp_path / "run")]
    run = start(words)
    while not (tmp_path / "run/h/seed1/checkpoint.safetensors").exists():
        assert run.poll() is None
        time.sleep(0.02)
    os.kill(number_of(1, run), signal.SIGKILL)
    out, _ = run.communicate(timeout=120)
    assert run.returncode
    assert [line for line in out.splitlines() if line.startswith("error")] == [
        "error: another process of the run ended, or cannot be reached; "
        "the SAEs of this one are saved, and the same command goes on"
    ]
    assert "twinsae/" not in out  # no traceback of ours

    run = start(words)
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 0, out
    assert out.count("Trained SAEs") == 1
    one, other = files(tmp_path / "run"), files(tmp_path / "whole")
    assert one.keys() == other.keys()
    # An SAE that went on from an earlier step than the others has its lines after theirs.
    log = Path("log.jsonl")
    assert sorted(one.pop(log).splitlines()) == sorted(other.pop(log).splitlines())
    assert one == other
