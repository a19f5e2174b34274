"""A task: a piece of work that knows whether it is done, what it waits for, and what it needs.

Pairs of a match-all, parts of a harvest and the steps of a sweep are tasks. What is done is what
the folders say, so that nothing else needs to be kept between two calls, and several machines can
share a folder.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from .progress import Progress


class Tools(NamedTuple):
    """What a task tells others while it runs, and how it is asked to stop."""

    progress: Progress
    say: Callable[[str], None]
    stop: Callable[[], bool]


class Need(NamedTuple):
    """What a task needs while it runs."""

    memory: int = 0
    """Bytes of the host's memory, about; 0 if that is not known beforehand."""
    threads: int = 8
    """Threads that it makes good use of; it runs with fewer, too."""
    gpus: int = 1
    """GPUs that it makes use of; it runs without, too."""


class Task(Protocol):
    """One piece of work."""

    @property
    def name(self) -> str:
        """What it is called; no two tasks of a run have the same name."""

    def is_done(self) -> bool:
        """Return whether its result is there."""

    def waits_for(self) -> str | None:
        """Say what must be there before it can run; None if nothing is missing."""

    def need(self) -> Need:
        """Return what it needs while it runs."""

    def run(self, tools: Tools) -> None:
        """Make the result, or go on where an earlier call was stopped."""
