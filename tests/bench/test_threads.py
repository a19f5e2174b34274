"""`bench.threads`: the model of more threads, and a small match with one and two."""

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from twinsae.bench import neighbour, threads
from twinsae.bench.match import Pair
from twinsae.bench.refuse import WrongResultError
from twinsae.bench.threads import Phase, bench_threads
from twinsae.cli.bench.tables import threads_table
from twinsae.common.progress import silent


def test_the_model_finds_the_shares_of_times_that_follow_it():
    phase = Phase("solve", {threads: 3.0 + 8.0 / threads for threads in (1, 2)})
    assert phase.serial == pytest.approx(3.0)
    assert phase.parallel == pytest.approx(8.0)
    assert phase.predicted(16) == pytest.approx(3.5)
    assert phase.predicted(64) == pytest.approx(3.125)


def test_the_model_takes_away_what_a_neighbour_slows_down():
    """Two threads share 8 s, each is slowed to 1.25 times: 3 + 5 s; sixteen take 3 + 0.625."""
    phase = Phase("solve", {1: 11.0, 2: 3.0 + 1.25 * 4.0}, slowdown=1.25)
    assert phase.serial == pytest.approx(3.0)
    assert phase.predicted(2) == pytest.approx(8.0)
    assert phase.predicted(16) == pytest.approx(3.625)


@pytest.mark.parametrize("slowdown", [2.0, 2.5])
def test_where_a_second_core_adds_nothing_all_counts_as_serial(slowdown: float):
    phase = Phase("solve", {1: 4.0, 2: 4.0}, slowdown)
    assert (phase.serial, phase.predicted(64)) == (4.0, 4.0)


@pytest.mark.parametrize(
    ("two", "serial"),
    [(5.0, 4.0), (1.5, 0.0)],  # noise: two threads were slower, or more than twice as fast
)
def test_noise_makes_no_share_negative(two: float, serial: float):
    phase = Phase("solve", {1: 4.0, 2: two})
    assert phase.serial == serial
    assert phase.parallel == 4.0 - serial


def test_the_neighbour_works_in_every_other_turn(monkeypatch: pytest.MonkeyPatch):
    states = []

    def look(*_rows):
        time.sleep(0.05)  # a stop takes a moment
        (child,) = multiprocessing.active_children()
        states.append(Path(f"/proc/{child.pid}/stat").read_text().rsplit(") ", 1)[1][0])

    before = torch.get_num_threads()
    monkeypatch.setattr(neighbour, "mutual_topk", look)
    assert neighbour.slowdown(64, 16) >= 1
    assert [state == "T" for state in states] == [True, False] * (len(states) // 2)
    assert len(states) > 2
    assert not multiprocessing.active_children()
    assert torch.get_num_threads() == before


def pair() -> Pair:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(300, 16, generator=generator) for _ in range(2))
    return Pair(a, b, "random")


def test_a_match_with_one_thread_and_with_two():
    before = torch.get_num_threads()
    phases = bench_threads(pair(), silent)
    assert torch.get_num_threads() == before
    assert phases[-1].name == "rest"
    assert all(phase.seconds[threads] >= 0 for phase in phases for threads in (1, 2))
    assert all(phase.slowdown >= 1 for phase in phases)


def test_the_table_sums_the_phases():
    phases = [Phase("solve", {1: 11.0, 2: 7.0}), Phase("rest", {1: 1.0, 2: 0.75})]
    *_, last, _, text = threads_table([("random", phases)]).splitlines()
    assert [cell.strip() for cell in last.split("|")[2:-1]] == [
        "all", "12.00", "7.75", "3.50", "4.03", "3.63",
    ]  # fmt: skip
    assert "took 1.00 times as long" in text


def test_different_partners_are_an_error(monkeypatch: pytest.MonkeyPatch):
    def wrong(a, b, progress):
        found = real(a, b, progress=progress)
        if torch.get_num_threads() == 2:
            return replace(found, cols=found.cols[::-1])
        return found

    real = threads.match
    monkeypatch.setattr(threads, "match", wrong)
    with pytest.raises(WrongResultError, match="different partners"):
        bench_threads(pair(), silent)
