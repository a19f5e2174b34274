"""The roofline, memory, scaling, and the tables they are printed in."""

import time

import pytest
import torch
from twinsae.bench import machine, roofline, scaling
from twinsae.bench.clock import CpuClock
from twinsae.bench.encode import PACKED, bench_encode
from twinsae.bench.measurement import OURS, PRODUCT, Measurement, Task, by_task, scan_note, summary
from twinsae.bench.problem import Shape
from twinsae.bench.scaling import BEFORE, IN_CALL, Growth, bench_growth
from twinsae.cli.bench.markdown import markdown_table
from twinsae.cli.bench.tables import growth_table, measurements_table
from twinsae.cli.main import main
from twinsae.kernels import _native
from twinsae.kernels.topk import ScanStats

MIB = 2**20


def set_roofline(monkeypatch: pytest.MonkeyPatch, rate: float, products: int) -> list[int]:
    asked: list[int] = []

    def measure(threads: int) -> float:
        asked.append(threads)
        return rate / len(asked)

    monkeypatch.setattr(_native, "codes_roofline", measure)
    monkeypatch.setattr(_native, "codes_products", lambda _: products)
    return asked


def test_the_roofline_is_the_best_of_a_few_runs(monkeypatch) -> None:
    asked = set_roofline(monkeypatch, 800.0, 3)
    assert roofline.codes_rate() == 800.0
    assert asked == [torch.get_num_threads()] * roofline.REPEATS
    # 3 products of 1e11 operations in half a second are 600e9 a second.
    note = roofline.roofline_note(10**11, 576, 0.5, 800.0)
    assert note == f"75% of 800 GOP/s ({_native.isa()})"


def test_no_share_without_int8(monkeypatch) -> None:
    set_roofline(monkeypatch, 0.0, 1)
    assert roofline.roofline_note(10**11, 576, 0.5, roofline.codes_rate()) == ""
    set_roofline(monkeypatch, 800.0, 0)
    assert roofline.roofline_note(10**11, 576, 0.5, roofline.codes_rate()) == ""


@pytest.mark.usefixtures("without_peers")
def test_encode_says_its_share_of_the_roofline(inputs, monkeypatch) -> None:
    set_roofline(monkeypatch, 1e9, 1)
    measured = bench_encode(inputs, 1)
    notes = {one.way: one.notes for one in measured}
    seconds = {one.way: one.seconds for one in measured}
    for way in (OURS, PACKED):
        product = min(seconds[PRODUCT], seconds["product by numpy"])
        assert notes[way][0] == f"{seconds['torch'] / seconds[way]:.2f}x torch"
        assert notes[way][1] == f"{product / seconds[way]:.2f}x the faster product"
        assert notes[way][2].endswith(f"of 1,000,000,000 GOP/s ({_native.isa()})")
    assert "memory should stay below 64 MiB" in notes[OURS]


def test_what_a_scan_says_of_itself() -> None:
    stats = ScanStats(torch.tensor(30), torch.tensor(2))
    assert scan_note(stats, 4) == "7.5 survivors re-scored per row; 2 rows redone"
    assert scan_note(ScanStats(*torch.zeros(2, dtype=torch.int64)), 4) == "all scored in float32"


def test_peak_memory_is_above_the_outputs() -> None:
    def call() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        spare = torch.ones(64 * MIB, dtype=torch.uint8)
        result = torch.ones(32 * MIB, dtype=torch.uint8), {"a": spare[: 16 * MIB].clone()}
        time.sleep(0.1)  # memory is looked at every 10 ms
        return result

    assert 60 * MIB < CpuClock().peak(call).above_result < 72 * MIB
    assert CpuClock().peak(lambda: None).above_result < 4 * MIB


@pytest.mark.parametrize(("grows", "sizes"), [("N", [2, 4, 8, 16, 32]), ("L", [5, 10, 20, 40, 80])])
def test_growth_times_each_size(grows, sizes, monkeypatch) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(
        scaling,
        "linear_topk",
        lambda x, weight, *_: calls.append((len(x), len(getattr(weight, "weight", weight)))),
    )
    monkeypatch.setattr(
        CpuClock,
        "medians",
        lambda _, ways, rounds: {way: call() or rounds * way[1] for way, call in ways.items()},
    )
    growth = bench_growth(grows, Shape(32, 6, 80, 3), 2)
    for way in (IN_CALL, BEFORE):
        assert growth.seconds[way] == dict.fromkeys(sizes, 2)
        assert growth.deviation(way) == 0
    pairs = [(size, 80) if grows == "N" else (32, size) for size in sizes]
    assert calls == [pair for pair in pairs for _ in range(2)]


def test_deviation_is_the_largest_from_the_median() -> None:
    growth = Growth(
        "L", Shape(1, 1, 4, 1), {"a": {1: 2.0, 2: 3.0, 4: 2.5}, "b": {1: 1, 2: 2, 4: 2}}
    )
    assert growth.deviation("a") == pytest.approx(0.2)
    assert growth.deviation("b") == pytest.approx(0.5)
    shown = growth_table([growth])
    assert "Per latent, a: at most 20% from the median, within 20%." in shown
    assert "Per latent, b: at most 50% from the median, NOT within 20%." in shown
    assert "L = 4, N = 1, D = 1, k = 1" in shown


def test_scaling_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(scaling, "LATENTS", Shape(7, 6, 80, 3))
    monkeypatch.setattr(scaling, "TOKENS", Shape(32, 6, 70, 3))
    assert main(["bench", "scaling", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("us / latent") == shown.count("us / token") == 5
    assert shown.count("from the median") == 4
    assert main(["bench", "scaling", "--shape", "1", "2", "3", "1"]) == 2
    assert "there is no option --shape" in capsys.readouterr().err


def test_markdown_is_aligned() -> None:
    assert markdown_table(("way", "ms"), [("a", "1"), ("long", "20.5")], {"ms"}).splitlines() == [
        "| way  |   ms |",
        "| ---- | ---: |",
        "| a    |    1 |",
        "| long | 20.5 |",
    ]


def test_a_summary_has_the_median() -> None:
    one, other = (Task("encode", {"N": size}, "random", 1) for size in (1, 2))
    found = summary(one, "a", [6.0, 1.0, 2.0, 3.0, 5.0, 4.0], 7)
    assert (found.seconds, found.peak_bytes) == (3.5, 7)
    again = summary(Task("encode", {"N": 1}, "random", 1), "b", [1.0], 0)  # the task is equal
    last = summary(other, "a", [1.0], 0)
    grouped = [(task, list(ways)) for task, ways in by_task([found, again, last])]
    assert grouped == [(one, ["a", "b"]), (other, ["a"])]


def test_a_measurements_rows() -> None:
    task = Task("encode", {"N": 1000, "k": 2}, "random", 10**9)
    ours = Measurement(task, OURS, 0.5, 3 * MIB, ["one", "two"])
    torchs = Measurement(task, "torch", 1.25, 2**30)
    lines = measurements_table([ours, torchs]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:4]]
    assert cells == [
        ["encode, N = 1,000, k = 2, random", OURS, "500.0", "", "2", "3 MiB", "one; two"],
        ["", "torch", "1,250.0", "2.50x", "1", "1.00 GiB", ""],
    ]


def test_what_slows_the_others_is_said(monkeypatch) -> None:
    monkeypatch.delenv(machine.SLOWING, raising=False)
    assert machine.warnings() == []
    monkeypatch.setenv(machine.SLOWING, "Haswell")
    assert "env -u OPENBLAS_CORETYPE" in machine.warnings()[0]


def test_the_machines_line_names_versions_and_kernels() -> None:
    line = machine.describe()
    assert f"torch {torch.__version__.partition('+')[0]}" in line
    assert f"{torch.get_num_threads()} threads" in line
    assert _native.isa() in line
