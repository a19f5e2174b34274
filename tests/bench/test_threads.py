"""`bench.threads`: the model of more threads, and a small match with one and two."""

from dataclasses import replace

import pytest
import torch
from twinsae.bench import threads
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


@pytest.mark.parametrize(
    ("two", "serial"),
    [(5.0, 4.0), (1.5, 0.0)],  # noise: two threads were slower, or more than twice as fast
)
def test_noise_makes_no_share_negative(two: float, serial: float):
    phase = Phase("solve", {1: 4.0, 2: two})
    assert phase.serial == serial
    assert phase.parallel == 4.0 - serial


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
    table = threads_table([("random", phases)])
    assert "predicted, 64" in table
    assert table.count("\n| ") >= len(phases) + 2


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
