"""How long work reports that it advances; the command line draws it, the library prints nothing."""

from typing import Protocol


class Progress(Protocol):
    """A callable that is told how far a phase has come.

    It is called with ``done=0`` when a phase starts, now and then while it runs, and with
    ``done == total`` at its end.
    """

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Take note of ``done`` of ``total`` ``unit`` (such as "steps") of ``phase``.

        ``facts`` are numbers worth showing beside the bar, for example ``fvu=0.33``.
        """


def silent(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
    """Report to nobody: what ``progress=None`` stands for."""


def renamed(progress: Progress, *, before: str = "", after: str = "") -> Progress:
    """Return a progress that passes all on, with more text before or after each phase's name."""

    def told(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        progress(f"{before}{phase}{after}", done, total, unit, **facts)

    return told


class Named:
    """A progress that passes all on, with the name of the present work before each phase's."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name = ""

    def begin(self, name: str) -> None:
        """Take note that other work begins."""
        self._name = name

    def __call__(self, phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        """Pass it on."""
        self._progress(f"{self._name} {phase}", done, total, unit, **facts)
