"""Where tasks run, as the options say it: in this process, on several GPUs, or by Ray."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..common.packages import need
from ..common.running import Engine, Here, Outcome, run_tasks
from ..common.tasks import Task, Tools
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

    from .stopping import StopRequest

_PARTS_ON_A_CLUSTER = 8


@dataclass(frozen=True)
class Engines:
    """Where the tasks of a command run."""

    gpus: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Run N tasks at a time, each in a process with a GPU of its own."""
    ray: Annotated[str | None, Argument(str, metavar="ADDRESS")] = None
    """Run tasks on a cluster of Ray: its HOST:PORT, or local for one of this machine alone."""

    def __post_init__(self) -> None:
        if self.gpus is not None and self.ray is not None:
            raise ValueError("--gpus, --ray: expected one of them, got both")
        if self.ray is not None:
            need("--ray", "ray")

    @property
    def workers(self) -> int:
        """How many tasks to cut work into; what a cluster has is not known beforehand."""
        if self.ray is not None:
            from ..common.ray_cluster import LOCAL

            return 1 if self.ray == LOCAL else _PARTS_ON_A_CLUSTER
        return self.gpus or 1

    @property
    def is_parallel(self) -> bool:
        """Whether tasks run in other processes."""
        return self.gpus is not None or self.ray is not None

    def run(
        self,
        console: "Console",
        tasks: Sequence[Task],
        folder: Path,
        *,
        left: int | None = None,
        stop: "StopRequest | None" = None,
    ) -> Outcome:
        """Run tasks, and show how far they are.

        Args:
            console: where their names, their progress and their failures are shown.
            tasks: as `run_tasks` takes them.
            folder: of the tasks, which all processes share.
            left: how many are not done, to be shown.
            stop: asked by trainings; while other tasks run here, signals act at once.

        Raises:
            ValueError: there are not so many GPUs, no such cluster, or a task that can never run.
            Exception: as `run_tasks`.
        """
        from .progress import open_progress, plain_lines

        say = plain_lines(console)
        numbers = count(1)
        alone = None if self.is_parallel else stop  # others' stop is asked all the time
        if alone is not None:
            alone.nobody_asks()
        with (
            open_progress(console) as progress,
            self._open(Tools(progress, say, stop or (lambda: False)), folder) as engine,
        ):

            def begins(name: str) -> None:
                progress.forget(all_phases=not self.is_parallel)
                if alone is not None:
                    alone.nobody_asks()
                say(name if left is None else f"{name} ({next(numbers)} of {left:,})")

            def fails(name: str, reason: str) -> None:
                say(f"{name} failed: {reason}" if self.is_parallel else f"failed: {reason}")

            return run_tasks(tasks, folder, engine, begins=begins, fails=fails)

    @contextmanager
    def _open(self, tools: Tools, folder: Path) -> Iterator[Engine]:
        if self.ray is not None:
            from ..common.ray_cluster import RayCluster

            with RayCluster(self.ray, folder, tools) as cluster:
                yield cluster
        elif self.gpus is not None:
            from ..common.processes import Processes, devices, threads_each

            names = devices(self.gpus)
            with Processes(names, threads_each(len(names)), tools) as processes:
                yield processes
        else:
            yield Here(tools)
