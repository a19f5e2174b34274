"""Runs the stages one after another, each in a child process with a limit of its own.

Every step leaves its results on disk (records.py), so that nothing that ends a child, or this
process, loses them. SIGTERM and SIGINT end the run as the last stage does.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from .records import STEPS, append, read
from .stages import LIMITS, MINUTES, Stage

LOG = "log.txt"
REPORT_SECONDS = 10.0  # what the reports take at the end
LEAST_SECONDS = 4.0  # a stage that has less time left is not started
CHILD = (sys.executable, "-P", "-m", __package__)


class StoppedError(Exception):
    """A signal asked this process to end; its number is the argument."""


def run_stages(
    stages: Sequence[Stage],
    out: Path,
    minutes: float,
    tell: Callable[[str], None],
    options: Sequence[str] = (),
    child: Sequence[str] = CHILD,
) -> int:
    """Run stages until all are done, the time is over, or a signal comes.

    Args:
        stages: their names.
        out: a folder; it gets the records, and a log of what the stages print.
        minutes: for all stages and the reports after them.
        tell: takes a line about each stage.
        options: what a stage is called with, after its name and the folder.
        child: the command that runs a stage.

    Returns:
        The number of the signal that ended the run, else 0.

    Raises:
        OSError: the folder cannot be written to.
    """
    end = time.monotonic() + 60 * minutes - REPORT_SECONDS
    out.mkdir(parents=True, exist_ok=True)
    for name in (STEPS, LOG):
        (out / name).write_text("")
    try:
        with _stoppable():
            for stage in stages:
                limit = min(LIMITS[stage] * minutes / MINUTES, end - time.monotonic())
                _run_stage(stage, limit, out, [*child, stage, str(out), *options], tell)
    except StoppedError as stopped:
        append(out / STEPS, stage="all", outcome=f"stopped by signal {stopped}")
        return int(stopped.args[0])
    return 0


def _run_stage(
    stage: Stage, limit: float, out: Path, command: Sequence[str], tell: Callable[[str], None]
) -> None:
    """Run a stage, again and again behind a step that ended it; record how it ended."""
    started, outcome, tries = time.monotonic(), "not started: out of time", 0
    while (left := limit - (time.monotonic() - started)) >= LEAST_SECONDS:
        tries += 1
        before = len(read(out / STEPS))
        outcome = _run_child(command, left, out / LOG)
        if outcome in ("done", "out of time") or len(read(out / STEPS)) == before:
            break
    seconds = round(time.monotonic() - started, 1)
    append(out / STEPS, stage=stage, outcome=outcome, tries=tries, seconds=seconds)
    tell(f"{stage}: {outcome}, {seconds:.0f} s" + (f", {tries} processes" if tries > 1 else ""))


def _run_child(command: Sequence[str], seconds: float, log: Path) -> str:
    """Run a command, and end it and all that it started after so many seconds."""
    with log.open("a") as lines:
        process = subprocess.Popen(
            command, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "out of time"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return "done" if code == 0 else f"exit code {code}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise `StoppedError` here; a second signal ends this process."""
    signals = signal.SIGTERM, signal.SIGINT
    before = [signal.getsignal(number) for number in signals]

    def restore() -> None:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)

    def stop(number: int, _: FrameType | None) -> None:
        restore()
        raise StoppedError(number)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()
