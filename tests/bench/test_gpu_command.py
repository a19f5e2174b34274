"""`twinsae bench gpu`: its options, exit codes, table and plot."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from twinsae.bench import peers
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu import cases, cuda_clock, matches
from twinsae.bench.gpu.plan import Plan
from twinsae.bench.gpu.plot import save_plot
from twinsae.bench.gpu.results import Check, Results
from twinsae.bench.gpu.run import Run
from twinsae.bench.measurement import OURS, PRODUCT, Measurement, Task
from twinsae.bench.problem import Shape
from twinsae.cli.bench import gpu_report
from twinsae.cli.bench.gpu_report import results_text, run_gpu
from twinsae.cli.main import main

SMALL = Plan(
    dtype=torch.float32,
    backend="native",
    shapes=(Shape(20, 16, 200, 4), Shape(20, 16, 100, 4)),
    compiled=0,
    match=(90, 8),
    square=16,
    rounds=3,
    odd=Shape(11, 9, 70, 3),
    real=(Shape(12, 16, 90, 4),),
    big=(200, 40),
    big_bytes=1,
    other_dtypes=(),
)
FILES = {"gpu.json", "gpu.md", "gpu.svg"}


@pytest.fixture(autouse=True)
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (peers, matches):
        monkeypatch.setattr(module, "find_spec", lambda _: None)


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Let the command run at toy size on a CPU; return the plans that it asked for."""
    asked: list[Plan] = []

    def small(plan: Plan, clock: CpuClock, out: Path, console: Console) -> int:
        asked.append(plan)
        own = replace(SMALL, dtype=plan.dtype, minutes=plan.minutes, ops=plan.ops)
        return run_gpu(own, clock, out, console)

    monkeypatch.setattr(cuda_clock, "find_gpu", CpuClock)
    monkeypatch.setattr(gpu_report, "run_gpu", small)
    return asked


def test_without_a_gpu_it_is_one_line(
    capsys: pytest.CaptureFixture, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "gpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: bench gpu needs an NVIDIA GPU")
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert main(["bench", "gpu", "--minutes", "0"]) == 2
    assert "minutes: expected more than 0" in capsys.readouterr().err


def test_numbers_table_and_plot(
    on_cpu: list[Plan], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "a" / "b"
    options = ["--out", str(out), "--dtype", "fp16", "--minutes", "2", "--only", "encode", "match"]
    assert main(["bench", "gpu", *options]) == 0
    (plan,) = on_cpu
    assert (plan.dtype, plan.minutes, plan.ops) == (torch.float16, 2.0, ("encode", "match"))
    assert {path.name for path in out.iterdir()} == FILES
    saved = json.loads((out / "gpu.json").read_text())
    assert {timing["task"]["job"] for timing in saved["timings"]} == {"encode"}
    shown, table = capsys.readouterr().out, (out / "gpu.md").read_text()
    assert table.strip() in shown
    for expected in (
        "dtype: float16",
        "| encode, N = 20, D = 16, L = 200, k = 4, random |",
        "certified",
    ):
        assert expected in table
    picture = (out / "gpu.svg").read_text()
    assert picture.rstrip().endswith("</svg>")
    for expected in ("encode, D = 16", "float16, N = 20, k = 4", "Latents", OURS):
        assert expected in picture


def test_a_wrong_kernel_is_in_the_exit_code(
    on_cpu: list[Plan], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
) -> None:
    right = cases.linear_topk

    def wrong(*given: object, **options: object) -> object:
        top = right(*given, **options)
        return top._replace(values=top.values + 0.25)

    monkeypatch.setattr(cases, "linear_topk", wrong)
    options = ["--out", str(tmp_path), "--dtype", "fp32", "--only", "encode", "decode"]
    assert main(["bench", "gpu", *options]) == 1
    assert len(on_cpu) == 1
    table = (tmp_path / "gpu.md").read_text()
    assert "Wrong or failed:\n- wrong: linear_topk, whole numbers, float32: the best" in table
    assert "- not timed: encode at N = 20, D = 16, L = 200, k = 4, twinsae: linear_topk" in table
    assert "| decode, N = 20, D = 16, L = 200, k = 4, random | twinsae " in table
    assert "twinsae" in capsys.readouterr().out


def test_what_there_is_is_written_after_ctrl_c(tmp_path: Path, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "_time_matches", stop)
    plan = replace(SMALL, ops=("encode", "match"), match_after=1)
    with pytest.raises(KeyboardInterrupt):
        run_gpu(plan, CpuClock(), tmp_path, Console(quiet=True))
    assert {path.name for path in tmp_path.iterdir()} == FILES
    table = (tmp_path / "gpu.md").read_text()
    assert "L = 200" in table
    assert "L = 100" not in table
    assert "The run was not finished." in table


def timing(way: str, ms: float, job: str = "step", **changes: object) -> Measurement:
    sizes = {"N": 8192, "D": 768, "L": 131072, "k": 64}
    sizes |= {name: changes.pop(name) for name in sizes if name in changes}
    task = Task(job, sizes, "random", 2 * sizes["N"] * sizes["D"] * sizes["L"])
    made = Measurement(task, way, ms / 1e3, 0.9 * ms / 1e3, 2 * ms / 1e3, 20, 3 << 20)
    return replace(made, **changes)


def test_a_timings_row() -> None:
    found = results()
    found.square_flops = 2 * 8192 * 768 * 131072 / 1e-3  # twice the speed of ours
    found.timings = [
        timing(OURS, 2.0, redone=6e-5),
        timing("torch", 500.0, peak_bytes=2**30),
        timing(PRODUCT, 1.6),
    ]
    lines = [line for line in results_text(found).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:4]]
    what = "step, N = 8,192, D = 768, L = 131,072, k = 64, random"
    assert cells == [
        [what, OURS, "2.000", "1.800 to 4.000", "", "4,096,000", "3 MiB", "80%", "50%", "0.006%"],
        ["", "torch", "500.0", "450.0 to 1,000.0", "250.00x", "16,384", "1.00 GiB", "0.320%",
         "0.200%", ""],
    ]  # fmt: skip
    found.timings = found.timings[:1]
    assert f"| 4,096,000 | {'3 MiB':>11} | {'':>14} | {'':>11} |" in results_text(found)


def results() -> Results:
    header = {"date": "2026-01-02T03:04:05+00:00", "device": "H100", "dtype": "bfloat16",
              "versions": ["torch 2", "triton 3"]}  # fmt: skip
    return Results(header)


def test_the_page_says_everything() -> None:
    found = results()
    found.checks = [Check("a", "b", "c", "", 0.1), Check("a", "b", "c", "off", 0.1)]
    found.square_flops = 6.5e14
    found.timings = [timing(OURS, 2.0)]
    task = Task("match", {"L": 9, "D": 8}, "planted, seed 0", 1296)
    notes = ["certified, gap 1.0e-12", "solve 3.2 s", "found 1"]
    found.matches = [Measurement(task, OURS, 12.34, 12.34, 12.34, 1, 5 << 20, notes)]
    found.refused, found.skipped = ["wrong: that"], ["this: out of time"]
    text = results_text(found)
    for expected in (
        "device: H100", "versions: torch 2, triton 3", "1 of 2 checks passed.", "650.0 TFLOP/s",
        "| step, N = 8,192", "12,340.0", "certified, gap 1.0e-12; solve 3.2 s; found 1",
        "Wrong or failed:\n- wrong: that", "Left out:\n- this: out of time", "not finished",
    ):  # fmt: skip
        assert expected in text
    found.finished = True
    assert "not finished" not in results_text(found)


def test_the_plot_takes_whatever_there_is(tmp_path: Path) -> None:
    found = results()
    save_plot(found, tmp_path / "gpu.svg")
    assert list(tmp_path.iterdir()) == []
    found.timings = [
        timing(OURS, 2.0),
        timing("torch", 5.0, L=32768),
        timing("peer", 5.0, D=4096, job="decode"),
        timing("other k", 5.0, k=32),
    ]
    save_plot(found, tmp_path / "gpu.svg")
    save_plot(found, tmp_path / "gpu.png")
    picture = (tmp_path / "gpu.svg").read_text()
    for expected in ("step, D = 768", "decode, D = 4,096", "H100, bfloat16, N = 8,192, k = 64",
                     "2026-01-02", "torch", "peer", "32,768"):  # fmt: skip
        assert expected in picture
    assert "other k" not in picture
    assert (tmp_path / "gpu.png").read_bytes().startswith(b"\x89PNG")
