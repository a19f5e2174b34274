"""A sweep: the tasks of a grid in a folder."""

from collections.abc import Callable
from pathlib import Path

from ..common.files import StrPath
from ..common.parts import part_of
from ..common.progress import Progress, silent
from ..common.running import Here, Outcome, run_tasks
from ..common.tasks import Task, Tools
from .grid import Grid
from .tasks import Group, tasks_of


class Sweep:
    """The tasks of a grid in a folder.

    Args:
        grid: what is to be trained.
        out: the folder of everything; it is made if need be.
        shard: (i, n): run part i, 1 to n, of n about equal parts of each kind of task. Several
            machines that share ``out`` can run one part each.
        workers: how many tasks can run at a time; each harvest is cut for them, and for n shards.

    Raises:
        ValueError: ``shard`` is not (i, n) with 1 <= i <= n.
    """

    def __init__(
        self, grid: Grid, out: StrPath, *, shard: tuple[int, int] = (1, 1), workers: int = 1
    ) -> None:
        self.grid = grid
        self.out = Path(out)
        self.groups: list[Group]
        kinds, self.groups = tasks_of(grid, self.out, shard[1] * workers)
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
        """Run this shard's tasks that are not done and have what they need, one after another.

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
        return run_tasks(self.tasks, self.out, Here(tools), begins=begins)
