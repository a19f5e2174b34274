import io

import pytest
from rich.console import Console
from twinsae.cli import progress as progress_module
from twinsae.cli.progress import BarProgress, LineProgress, open_progress


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=120), text


def test_lines_carry_rate_remaining_time_and_facts(clock: Clock):
    target, text = console(terminal=False)
    with open_progress(target) as show:
        assert isinstance(show, LineProgress)
        show("train", 0, 100, "steps")
        clock.now += 5
        show("train", 10, 100, "steps", fvu=0.5)  # too soon after the last line
        clock.now += 5
        show("train", 40, 100, "steps", fvu=0.25)
        clock.now += 15
        show("train", 100, 100, "steps", fvu=0.125)
    assert text.getvalue().splitlines() == [
        "train: 100 steps",
        "train: 40/100 steps  4.00 steps/s  15 s left  fvu 0.25",
        "train: 100/100 steps  4.00 steps/s  fvu 0.125",
    ]


def test_much_time_left_is_in_minutes(clock: Clock):
    target, text = console(terminal=False)
    with open_progress(target) as show:
        show("train", 0, 1000, "steps")
        clock.now += 100
        show("train", 20, 1000, "steps")
    assert text.getvalue().splitlines()[-1] == "train: 20/1,000 steps  0.20 steps/s  82 min left"


def test_what_an_earlier_run_did_does_not_count_as_speed(clock: Clock):
    target, text = console(terminal=False)
    with open_progress(target) as show:
        show("harvest", 900, 1000, "tokens")
        clock.now += 10
        show("harvest", 1000, 1000, "tokens")
    assert text.getvalue().splitlines() == [
        "harvest: 900 of 1,000 tokens",
        "harvest: 1,000/1,000 tokens  10 tokens/s",
    ]


def test_a_short_phase_is_one_line(clock: Clock):
    target, text = console(terminal=False)
    with open_progress(target) as show:
        show("prices", 0, 768, "latents")
        clock.now += 0.5
        show("prices", 768, 768, "latents")
    assert text.getvalue().splitlines() == ["prices: 768 latents"]


def test_a_phase_without_visible_speed_gives_no_nonsense(clock: Clock):
    target, text = console(terminal=False)
    with open_progress(target) as show:
        show("train", 5, 10, "steps")
        clock.now += 20
        show("train", 5, 10, "steps")
    assert text.getvalue().splitlines()[-1] == "train: 5/10 steps  0.00 steps/s"


def test_a_terminal_gets_a_bar_with_rate_and_facts(clock: Clock):
    target, text = console(terminal=True)
    with open_progress(target) as show:
        assert isinstance(show, BarProgress)
        show("train", 0, 100, "steps")
        clock.now += 10
        show("train", 100, 100, "steps", fvu=0.25)
    shown = text.getvalue()
    assert "100/100" in shown
    assert "10 steps/s" in shown
    assert "fvu 0.25" in shown
