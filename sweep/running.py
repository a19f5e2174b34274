"""Running a sweep's tasks: what is done is skipped, and one that fails does not stop the others."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..common.files import StrPath, atomic_write
from ..common.parts import part_of
from ..common.progress import Progress, silent
from ..common.tasks import Task, Tools
from .grid import Grid
from .tasks import Group, tasks_of

_FAILED = ".failed"
_NO_NAME = re.compile(r"[^A-Za-z0-9._=,-]+")
FAILURES = (ValueError, TypeError, OSError, ImportError, MemoryError)
"""What a task may raise; others are errors of ours, and stop the sweep."""


class Outcome(NamedTuple):
    """What came of a sweep's tasks."""

    done: list[str]
    """The names of the tasks that are done, by this call or before it."""
    failed: dict[str, str]
    """Why tasks failed, by their names."""
    waiting: dict[str, str]
    """What tasks that could not run yet wait for, by their names."""


class Sweep:
    """The tasks of a grid in a folder.

    Args:
        grid: what is to be trained.
        out: the folder of everything; it is made if need be.
        shard: (i, n): run part i, 1 to n, of n about equal parts of each kind of task. Several
            machines that share ``out`` can run one part each.

    Raises:
        ValueError: ``shard`` is not (i, n) with 1 <= i <= n.
    """

    def __init__(self, grid: Grid, out: StrPath, *, shard: tuple[int, int] = (1, 1)) -> None:
        self.grid = grid
        self.out = Path(out)
        self.groups: list[Group]
        kinds, self.groups = tasks_of(grid, self.out)
        self.every: list[Task] = [task for kind in kinds for task in kind]
        """All tasks, in the order of the work."""
        # They are cut before those that are done are left out, so that shards never overlap.
        self.tasks: list[Task] = [task for kind in kinds for task in part_of(kind, shard)]
        """Those of this shard."""

    def run(
        self,
        *,
        progress: Progress | None = None,
        say: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        begins: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Run this shard's tasks that are not done and have what they need.

        A task that fails is noted in ``out/.failed/``, and the next call tries it again.

        Args:
            progress: told how far each phase of a task has come.
            say: told what a task has to say, in one line.
            stop: asked after each step of training, as for `train_many`.
            begins: told the name of each task as it begins.

        Raises:
            StoppedError: ``stop`` returned True.
            OSError: a failure could not be noted.
        """
        tools = Tools(progress or silent, say or (lambda _: None), stop or (lambda: False))
        outcome = Outcome([], {}, {})
        for task in self.tasks:
            if task.is_done():
                outcome.done.append(task.name)
            elif (missing := task.waits_for()) is not None:
                outcome.waiting[task.name] = missing
            else:
                (begins or (lambda _: None))(task.name)
                self._run(task, tools, outcome)
        return outcome

    def _run(self, task: Task, tools: Tools, outcome: Outcome) -> None:
        note = self.out / _FAILED / f"{_NO_NAME.sub('_', task.name)}.json"
        try:
            task.run(tools)
        except FAILURES as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            outcome.failed[task.name] = reason
            note.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(note) as temporary:
                content = {"task": task.name, "reason": reason}
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        else:
            outcome.done.append(task.name)
            note.unlink(missing_ok=True)
