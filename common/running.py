"""Runs tasks: what is done is skipped, and one that fails does not stop the others."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from .files import atomic_write
from .tasks import Task, Tools

_FAILED = ".failed"
_NO_NAME = re.compile(r"[^A-Za-z0-9._=,-]+")
FAILURES = (ValueError, TypeError, OSError, ImportError, MemoryError)
"""What a task may raise; others are errors of ours, or requests to stop, and end the run."""


class Outcome(NamedTuple):
    """What came of tasks."""

    done: list[str]
    """The names of the tasks that are done, by this call or before it."""
    failed: dict[str, str]
    """Why tasks failed, by their names."""
    waiting: dict[str, str]
    """What tasks that could not run yet wait for, by their names."""


class Engine(Protocol):
    """Where tasks run."""

    def check(self, tasks: Iterable[Task]) -> None:
        """Raise a ValueError if there is a task among these that can never run here."""

    def has_room(self) -> bool:
        """Return whether another task can be begun now."""

    def begin(self, task: Task) -> None:
        """Begin a task, and return at once or when it has ended."""

    def end(self) -> tuple[str, str | None]:
        """Wait until a task has ended that was begun, and return its name and why it failed."""


class Here:
    """Runs one task after another in this process.

    Args:
        tools: what tasks are given.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._ended: tuple[str, str | None] | None = None

    def check(self, tasks: Iterable[Task]) -> None:
        """Let all run: what is too large says so itself."""

    def has_room(self) -> bool:
        """Return whether nothing was begun whose end was not asked for."""
        return self._ended is None

    def begin(self, task: Task) -> None:
        """Run a task to its end."""
        self._ended = task.name, attempt(task, self._tools)

    def end(self) -> tuple[str, str | None]:
        """Return what came of the last task."""
        assert self._ended is not None, "no task was begun"
        ended, self._ended = self._ended, None
        return ended


def attempt(task: Task, tools: Tools) -> str | None:
    """Run a task, and return in one line why it failed, or None."""
    try:
        task.run(tools)
    except FAILURES as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def run_tasks(
    tasks: Iterable[Task],
    folder: Path,
    engine: Engine,
    *,
    begins: Callable[[str], None] | None = None,
    fails: Callable[[str, str], None] | None = None,
) -> Outcome:
    """Run the tasks that are not done and have what they need.

    A task that fails is noted in ``folder/.failed/`` until it succeeds.

    Args:
        tasks: in the order of the work.
        folder: of the notes.
        engine: where they run.
        begins: told the name of each task as it begins.
        fails: told the name of each task that failed, and why.

    Raises:
        ValueError: a task can never run on this engine.
        OSError: a failure could not be noted.
        Exception: what is no failure of a task, such as a request to stop.
    """
    outcome = Outcome([], {}, {})
    todo = deque(_undone(tasks, outcome, folder))
    engine.check(todo)
    later: list[Task] = []
    running = 0
    news = False  # whether a task has ended since the last look at those that wait
    while todo or running:
        while todo and engine.has_room():
            task = todo.popleft()
            missing = task.waits_for()
            if missing is None:
                if begins is not None:
                    begins(task.name)
                engine.begin(task)
                running += 1
            else:
                outcome.waiting[task.name] = missing
                later.append(task)
        if running:
            name, reason = engine.end()
            _note(name, reason, outcome, folder)
            running -= 1
            news = True
            if reason is not None and fails is not None:
                fails(name, reason)
        if news and not todo:
            todo, later, news = deque(later), [], False
    return outcome


def why_failed(folder: Path, name: str) -> str | None:
    """Return why the last attempt at a task failed; None if it did not, or was not made."""
    try:
        reason: str = json.loads(_place(folder, name).read_text(encoding="utf-8"))["reason"]
    except FileNotFoundError:
        return None
    return reason


def _undone(tasks: Iterable[Task], outcome: Outcome, folder: Path) -> Iterable[Task]:
    for task in tasks:
        if task.is_done():
            _note(task.name, None, outcome, folder)
        else:
            yield task


def _note(name: str, reason: str | None, outcome: Outcome, folder: Path) -> None:
    outcome.waiting.pop(name, None)
    note = _place(folder, name)
    if reason is None:
        outcome.done.append(name)
        note.unlink(missing_ok=True)
        return
    outcome.failed[name] = reason
    note.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(note) as temporary:
        content = {"task": name, "reason": reason}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _place(folder: Path, name: str) -> Path:
    return folder / _FAILED / f"{_NO_NAME.sub('_', name)}.json"
