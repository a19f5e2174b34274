"""`twinsae bench gpu`: its options, exit codes, reports, and a run that is killed in the middle."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from twinsae.bench.gpu import parent
from twinsae.bench.gpu.expectations import load
from twinsae.bench.gpu.records import STEPS, append, read, results
from twinsae.cli.bench.gpu_report import write_reports
from twinsae.cli.main import main

ROOT = Path(__file__).parents[2]
MOST = 6_000
FILES = {"gpu.json", "gpu.md", "steps.jsonl", "log.txt"}


def test_without_a_gpu_it_is_one_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "gpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: bench gpu needs an NVIDIA GPU")
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_that_is_killed_in_the_middle_keeps_its_results(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "twinsae.cli.main", "bench", "gpu", "--rehearse"]
    stages = ["--stages", "parts", "times", "--out", str(tmp_path)]
    process = subprocess.Popen([*command, *stages], stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (tmp_path / STEPS).exists() or "D 16 dot" not in (tmp_path / STEPS).read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert {path.name for path in tmp_path.iterdir()} == FILES
    saved = json.loads((tmp_path / "gpu.json").read_text())
    timed = {step["step"] for step in saved["steps"]}
    assert {"D 16 encode", "D 16 decode"} <= timed
    assert saved["stages"][-1]["outcome"] == f"stopped by signal {int(signal.SIGTERM)}"
    assert {step["stage"] for step in saved["steps"]} == {"parts"}
    assert "| D 16 encode " in (tmp_path / "gpu.md").read_text()
    assert "  D 16 encode: " in shown
    assert "all 0 s stopped by signal 15" in shown
    assert len(shown) < MOST


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with the steps of an H100 of before, and some more than there will ever be."""
    append(tmp_path / STEPS, stage="env", outcome="done", tries=3, seconds=12.0)
    for name in ("1-first-contact", "3-after"):
        for record in load(ROOT / "docs" / "measurements" / f"h100-{name}.jsonl"):
            if record.get("state") == "end" and record["stage"] in ("env", "times", "match"):
                append(tmp_path / STEPS, **({"ours": False} | record))
    for place in range(160):
        facts = {"ms": place + 0.5, "p20": 0.1, "p80": 0.2, "kernels": {"scan | it": [0.4, 1]}}
        append(tmp_path / STEPS, stage="parts", step=f"tile {place}", state="end", **facts)
    return tmp_path


def test_the_summary_is_short_and_the_table_of_expectations_is_filled(recorded: Path) -> None:
    append(recorded / STEPS, stage="big", step="hung", state="begin")
    shown, wrong = write_reports(recorded)
    assert not wrong
    assert len(shown) < MOST
    lines = shown.splitlines()
    assert lines[0] == "Stages: env 12 s in 3 processes"
    assert "bf16 8192^3 761.8" in shown
    goal = "Goal, D 4096 encode: twinsae: 1.35 x the product, 16.9 ms: met with 16.2 ms"
    assert goal in lines
    assert "Goal, D 768 encode: twinsae: 1.5 x the product, 3.49 ms: NOT MET with 6.21 ms" in lines
    assert "Not finished: big: hung" in lines
    assert any(line.startswith("match 131072 x 4096: 27.42 s, certified") for line in lines)
    assert any("decode: twinsae 0.409; embedding_bag 0.59" in line for line in lines)
    assert lines[-2] == "(the rest is in gpu.md)"
    table = (recorded / "gpu.md").read_text()
    assert "| linear_topk     | N = 8,192, D = 4,096, L = 131,072, k = 64 | bfloat16 |" in table
    assert "scan / it 0.4 / 1" in table
    assert "D 768 grads" in (recorded / "gpu.svg").read_text()


def test_what_is_wrong_is_in_the_exit_code(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def instead(stages, out, minutes, _, options) -> int:
        assert (stages, out, minutes, options) == (("env", "match"), recorded, 2.0, ["--rehearse"])
        return 0

    monkeypatch.setattr(parent, "run_stages", instead)
    words = ["bench", "gpu", "--rehearse", "--minutes", "2", "--stages", "env", "match"]
    words += ["--out", str(recorded)]
    assert main(words) == 0
    append(recorded / STEPS, stage="big", step="dot", state="end", problem="off", ours=True)
    assert main(words) == 1
    assert "  WRONG: big: dot: off" in capsys.readouterr().out.splitlines()
    assert ("big", "dot") in results(read(recorded / STEPS))


def test_nothing_measured_is_a_report_too(tmp_path: Path) -> None:
    (tmp_path / STEPS).touch()
    shown, wrong = write_reports(tmp_path)
    assert not wrong
    assert "Checks: 0 of 0 steps right" in shown
    assert not (tmp_path / "gpu.svg").exists()
