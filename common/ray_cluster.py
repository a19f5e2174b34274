"""Runs tasks on a cluster of Ray (https://docs.ray.io), placed by memory, threads and GPUs.

All nodes have twinsae installed and see the folder of the tasks at the same path. A task whose
process or node dies is run again by Ray on another.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from .packages import need
from .processes import throttled
from .running import attempt
from .tasks import Task, Tools
from .units import format_bytes

LOCAL = "local"
_SECONDS_TO_REACH = 5.0
_SECONDS_TO_JOIN = 60.0
_SECONDS_TO_WAIT = 1.0
_SECONDS_TO_STOP = 60.0
_SECONDS_TO_ANSWER = 30.0
_RETRIES = 3


class RayCluster:
    """Runs all tasks that are ready, as far as the cluster has room for them.

    Args:
        address: HOST:PORT of a cluster, or "local" for one of this machine alone, which is started
            here and never joins another that runs.
        folder: of the tasks; all nodes must share it.
        tools: what is told of all tasks; phases have their task's name before them.

    Raises:
        ImportError: Ray is not installed.
        ValueError: no cluster answers at the address.
    """

    def __init__(self, address: str, folder: Path, tools: Tools) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
        need("--ray", "ray")
        import ray

        self._ray = ray
        self._tools = tools
        self._running: dict[Any, Task] = {}
        self._join(address)
        self._folder = folder.resolve()
        self._mark = self._folder / f".ray-{uuid.uuid4().hex}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        self._board = ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()
        self._remote = ray.remote(max_retries=_RETRIES)(_work)

    def _join(self, address: str) -> None:
        if address == LOCAL:
            # Not in a thread: what Ray starts ends with the thread that started it.
            self._init(address, include_dashboard=False)
            return
        _reach(address)
        failed: list[BaseException] = []

        def join() -> None:
            try:
                self._init(address)
            except BaseException as error:
                failed.append(error)

        # A cluster that is half dead lets a client wait for minutes.
        thread = threading.Thread(target=join, daemon=True)
        thread.start()
        thread.join(_SECONDS_TO_JOIN)
        if thread.is_alive():
            raise ValueError(f"--ray: {address} did not answer within {_SECONDS_TO_JOIN:.0f} s")
        if failed:
            raise ValueError(f"--ray: cannot join {address}: {_why(failed[0])}") from failed[0]

    def _init(self, address: str, **options: Any) -> None:
        self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)

    def check(self, tasks: Iterable[Task]) -> None:
        """Refuse a task that no node can ever run.

        Raises:
            ValueError: with what it needs, and what the nodes have.
        """
        largest = max(node.memory for node in self._nodes())
        for task in tasks:
            if task.waits_for() is None and (memory := task.need().memory) > largest:
                raise ValueError(
                    f"{task.name} needs {format_bytes(memory)} of memory, but the largest node of "
                    f"the cluster has {format_bytes(largest)} for tasks"
                )

    def has_room(self) -> bool:
        """Let Ray hold what it cannot begin yet."""
        return True

    def begin(self, task: Task) -> None:
        """Hand a task to Ray.

        Raises:
            ValueError: no node can ever run it.
        """
        self.check([task])
        nodes = self._nodes()
        need = task.need()
        fitting = [node for node in nodes if node.memory >= need.memory]
        options = {
            "memory": need.memory or None,
            "num_cpus": min(need.threads, int(max(node.cpus for node in fitting))),
            "num_gpus": min(need.gpus, int(max(node.gpus for node in fitting))),
        }
        reference = self._remote.options(**options, name=task.name).remote(
            task, self._board, self._mark, options["num_cpus"]
        )
        self._running[reference] = task

    def end(self) -> tuple[str, str | None]:
        """Wait until a task has ended, and pass on what the tasks report meanwhile.

        Raises:
            KeyboardInterrupt: a stop was asked for.
            Exception: what is no failure of a task, as it was raised there.
        """
        asked: float | None = None
        while True:
            if asked is None and self._tools.stop():
                asked = time.monotonic()
                self._get(self._board.stop.remote())
            if asked is not None and (
                not self._running or time.monotonic() - asked > _SECONDS_TO_STOP
            ):
                raise KeyboardInterrupt
            ready, _ = self._ray.wait(list(self._running), timeout=_SECONDS_TO_WAIT)
            self._pass_on()
            for reference in ready:
                ended = self._result(reference)
                if asked is None:
                    return ended

    def _result(self, reference: Any) -> tuple[str, str | None]:
        task = self._running.pop(reference)
        errors = self._ray.exceptions
        try:
            return task.name, self._get(reference)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            reason = " ".join(str(error).split())
            return task.name, f"its process died, {_RETRIES + 1} times: {reason}"

    def _pass_on(self) -> None:
        """Tell what tasks have reported since the last time."""
        try:
            told = self._get(self._board.take.remote())
        except self._ray.exceptions.RayError:
            return  # the board's node died; Ray starts another
        for phase, (done, total, unit, facts) in told.phases.items():
            self._tools.progress(phase, done, total, unit, **facts)
        for line in told.lines:
            self._tools.say(line)

    def _get(self, reference: Any) -> Any:
        return self._ray.get(reference, timeout=_SECONDS_TO_ANSWER)

    def _nodes(self) -> "list[_Node]":
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [
            _Node(each.get("memory", 0), each.get("CPU", 0), each.get("GPU", 0)) for each in found
        ]

    def close(self) -> None:
        """Leave the cluster; what still runs there is stopped."""
        self._mark.unlink(missing_ok=True)
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Node(NamedTuple):
    memory: float
    cpus: float
    gpus: float


class _News(NamedTuple):
    phases: dict[str, tuple[int, int, str, dict[str, float]]]
    """The last report of each phase."""
    lines: list[str]


class _Board:
    """Where tasks write how far they are, and read whether to stop."""

    def __init__(self) -> None:
        self._news = _News({}, [])
        self._stop = False

    def tell(self, phase: str, done: int, total: int, unit: str, facts: dict[str, float]) -> bool:
        """Note a report, and return whether to stop."""
        self._news.phases[phase] = done, total, unit, facts
        return self._stop

    def say(self, line: str) -> None:
        """Note a line."""
        self._news.lines.append(line)

    def take(self) -> _News:
        """Return what was noted since the last call."""
        news, self._news = self._news, _News({}, [])
        return news

    def stop(self) -> None:
        """Ask all to stop."""
        self._stop = True


def _why(error: BaseException) -> str:
    reason = " ".join(str(error).split())
    if "AuthenticationError" in reason or "InvalidAuthToken" in reason:
        return (
            "it asks for a token, and ours is missing or another: set RAY_AUTH_MODE=token, with "
            "the cluster's token in ~/.ray/auth_token"
        )
    return reason


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"--ray: expected {LOCAL} or HOST:PORT, got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_REACH).close()
    except OSError as error:
        raise ValueError(f"--ray: no cluster answers at {address}: {error}") from error


def _work(task: Task, board: Any, mark: Path, threads: int) -> str | None:
    """Run a task in a process of Ray, and return why it failed."""
    import ray
    import torch

    torch.set_num_threads(threads)
    if not mark.exists():
        return f"{socket.gethostname()} does not see {mark.parent}: all nodes must share it"
    if task.is_done():  # by a process that died, or was cut off, after its work was done
        return None
    stop = False

    def tell(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        nonlocal stop
        answer = board.tell.remote(f"{task.name} {phase}", done, total, unit, facts)
        with contextlib.suppress(ray.exceptions.RayError):  # its node died; the work goes on
            stop = ray.get(answer, timeout=_SECONDS_TO_ANSWER)

    return attempt(task, Tools(throttled(tell), board.say.remote, lambda: stop))
