"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from ..common.progress import Progress
from ..common.system import own_memory
from ..common.units import format_bytes, format_seconds


class Display(Progress, Protocol):
    """A progress that is shown, of one piece of work after another."""

    def forget(self, *, all_phases: bool) -> None:
        """Forget phases before other work begins, which may have phases of the same names.

        Args:
            all_phases: or only those that have come to their end.
        """


SECONDS_BETWEEN_LINES = 10.0
SECONDS_WORTH_A_LAST_LINE = 1.0
UPDATES_PER_SECOND = 4


@contextmanager
def open_progress(console: Console, above: Sequence[RenderableType] = ()) -> Iterator[Display]:
    """Yield the progress display that suits `console`: bars on a terminal, lines elsewhere.

    `above` is what a terminal shows above the bars, drawn anew a few times a second.
    """
    if not console.is_terminal:
        yield LineProgress(console)
        return
    columns = (
        TextColumn("[bold]{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[facts]}", style="green"),
    )
    bars = Bars(*columns, console=console)
    progress = BarProgress(bars)
    shown = Group(*above, bars, progress)
    with Live(shown, console=console, refresh_per_second=UPDATES_PER_SECOND):
        yield progress


def plain_lines(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line as it is: not wrapped, coloured or read as markup."""
    return lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False)


class BarProgress:
    """One bar per phase, with rate, remaining time and the phase's latest facts.

    Drawn, it is the facts of a phase that counts tokens: they are too many to stand beside a bar.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, tuple[TaskID, _Clock]] = {}
        self._updated = 0.0
        self._below = ""

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Show that `done` of `total` units of `phase` are finished."""
        if phase not in self._tasks:
            size = f" {format_bytes(total)}" if unit == "bytes" else ""
            task = self._bars.add_task(phase + size, total=total, rate="", facts="")
            self._tasks[phase] = (task, _Clock(done))
        elif done < total and time.monotonic() - self._updated < 1 / UPDATES_PER_SECOND:
            return
        self._updated = time.monotonic()
        task, clock = self._tasks[phase]
        rate = clock.rate(done)
        told = _facts(facts, rate / done if done else 0)
        if "tokens" in facts:
            self._below, told = told, ""
        self._bars.update(task, completed=done, total=total, rate=_rate(rate, unit), facts=told)

    def forget(self, *, all_phases: bool) -> None:
        """Take bars away."""
        for phase, (number, _) in list(self._tasks.items()):
            task = next(task for task in self._bars.tasks if task.id == number)
            if all_phases or task.finished:
                self._bars.remove_task(number)
                del self._tasks[phase]

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        """Draw the line below the bars, if there is one."""
        if self._below:
            yield Text(self._below, style="green")


class LineProgress:
    """A line when a phase starts, every ten seconds, and when a phase of some length ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clocks: dict[str, _Clock] = {}
        self._ended: set[str] = set()
        self._last_line = 0.0

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Print that `done` of `total` units of `phase` are finished, if it is time to."""
        if done == total:
            self._ended.add(phase)
        if phase not in self._clocks:
            self._clocks[phase] = _Clock(done)
            before = f"{done:,} of " if done else ""
            whole = format_bytes(total) if unit == "bytes" else f"{total:,} {unit}"
            self._print(f"{phase}: {before}{whole}")
            return
        wait = SECONDS_BETWEEN_LINES if done < total else SECONDS_WORTH_A_LAST_LINE
        if time.monotonic() - self._last_line < wait:
            return
        rate = self._clocks[phase].rate(done)
        parts = [f"{phase}: {done:,}/{total:,} {unit}", _rate(rate, unit)]
        if rate > 0 and done < total:
            parts.append(f"{format_seconds((total - done) / rate)} left")
        if facts:
            parts.append(_facts(facts, rate / done if done else 0))
        self._print("  ".join(parts))

    def forget(self, *, all_phases: bool) -> None:
        """Let phases of the same names begin anew."""
        for phase in list(self._clocks) if all_phases else self._ended & self._clocks.keys():
            del self._clocks[phase]
        self._ended.clear()

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class _Clock:
    """Times one phase; a resumed phase starts above zero, which must not count as speed."""

    def __init__(self, done: int) -> None:
        self._started_at = time.monotonic()
        self._started_with = done

    def rate(self, done: int) -> float:
        elapsed = time.monotonic() - self._started_at
        return (done - self._started_with) / elapsed if elapsed > 0 else 0.0


def _rate(per_second: float, unit: str) -> str:
    if unit == "bytes":
        return f"{per_second / 2**20:.1f} MiB/s"
    return f"{per_second:,.0f} {unit}/s" if per_second >= 10 else f"{per_second:.2f} {unit}/s"


def _facts(facts: dict[str, float], share_per_second: float) -> str:
    """Return a phase's facts in words.

    Of `tokens`, how many a second follow from the share of what is done that a second does, and the
    memory in use stands beside them.
    """
    parts = []
    for name, value in facts.items():
        if name == "tokens":
            parts.append(f"{value:,} tokens  {_rate(value * share_per_second, 'tokens')}")
            parts.append(f"memory {format_bytes(own_memory())}")
        else:
            parts.append(f"{name} {value:.4g}")
    return "  ".join(parts)
