"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0


def open_progress(console: Console) -> "BarProgress | LineProgress":
    """Return the progress display that suits `console`; use it as a context manager."""
    return BarProgress(console) if console.is_terminal else LineProgress(console)


def _rate(per_second: float, unit: str) -> str:
    return f"{per_second:,.0f} {unit}/s" if per_second >= 10 else f"{per_second:.2f} {unit}/s"


def _facts(facts: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


class _Clock:
    """Times one phase; a resumed phase starts above zero, which must not count as speed."""

    def __init__(self, done: int) -> None:
        self.started_at = time.monotonic()
        self.started_with = done

    def rate(self, done: int) -> float:
        elapsed = time.monotonic() - self.started_at
        return (done - self.started_with) / elapsed if elapsed > 0 else 0.0


class BarProgress:
    """One bar per phase, with rate, remaining time and the phase's latest facts."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("[bold]{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[facts]}", style="green"),
            console=console,
        )
        self._tasks: dict[str, tuple[TaskID, _Clock]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Show that `done` of `total` units of `phase` are finished."""
        if phase not in self._tasks:
            task = self._bars.add_task(phase, total=total, rate="", facts="")
            self._tasks[phase] = (task, _Clock(done))
        task, clock = self._tasks[phase]
        self._bars.update(
            task,
            completed=done,
            total=total,
            rate=_rate(clock.rate(done), unit),
            facts=_facts(facts),
        )


class LineProgress:
    """A line when a phase starts, every ten seconds, and when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clocks: dict[str, _Clock] = {}
        self._last_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        pass

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Print that `done` of `total` units of `phase` are finished, if it is time to."""
        now = time.monotonic()
        is_new = phase not in self._clocks
        if is_new:
            self._clocks[phase] = _Clock(done)
        elif done < total and now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        rate = self._clocks[phase].rate(done)
        parts = [f"{phase}: {done:,}/{total:,} {unit}"]
        if not is_new:
            parts.append(_rate(rate, unit))
            if done < total and rate > 0:
                parts.append(f"{(total - done) / rate:,.0f} s left")
        parts.extend([_facts(facts)] if facts else [])
        self._console.print("  ".join(parts), highlight=False, soft_wrap=True)
