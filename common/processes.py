"""Runs tasks in several processes of this machine, each with a GPU of its own.

A process is given one task at a time. If it is killed in the middle of one, another process tries
that task once more.
"""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Self

from .progress import Progress
from .running import attempt
from .tasks import Task, Tools
from .threads import usable_threads

_CONTEXT = multiprocessing.get_context("spawn")  # a forked process could not use CUDA
_ATTEMPTS = 2
_SECONDS_BETWEEN_REPORTS = 0.5
_SECONDS_TO_STOP = 60.0
_SECONDS_TO_ASK = 0.2


def devices(number: int) -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES is for each of so many processes.

    Raises:
        ValueError: this machine, or what CUDA_VISIBLE_DEVICES leaves of it, has fewer GPUs.
    """
    import torch

    found = torch.cuda.device_count()
    if number > found:
        raise ValueError(f"gpus: expected at most the {found} GPUs of this machine, got {number}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(device) for device in range(found)]
    return names[:number]


def threads_each(processes: int) -> int:
    """Return the threads of each of so many processes that share those of this one."""
    return max(1, usable_threads() // processes)


class Processes:
    """Runs tasks in as many processes as there are devices.

    Args:
        devices: the value of CUDA_VISIBLE_DEVICES for each process.
        threads: of each process.
        tools: what is told of all tasks; phases have their task's name before them.
    """

    def __init__(self, devices: Sequence[str], threads: int, tools: Tools) -> None:
        self._tools = tools
        self._stop = _CONTEXT.Event()
        self._workers = [_Worker(device, threads, self._stop) for device in devices]
        self._attempts: dict[str, int] = {}

    def check(self, tasks: Iterable[Task]) -> None:
        """Let all run: what is too large says so itself."""

    def has_room(self) -> bool:
        """Return whether a process has nothing to do."""
        return any(worker.task is None for worker in self._workers)

    def begin(self, task: Task) -> None:
        """Give a task to a process that has nothing to do."""
        worker = next(worker for worker in self._workers if worker.task is None)
        self._attempts[task.name] = 1
        worker.begin(task)

    def end(self) -> tuple[str, str | None]:
        """Wait until a task has ended, and pass on what the processes report meanwhile.

        Raises:
            BaseException: what is no failure of a task, as the process raised it; or, if asked to
                stop, KeyboardInterrupt.
        """
        asked: float | None = None
        while True:
            if asked is None and self._tools.stop():
                asked = time.monotonic()
                self._stop.set()
            if asked is not None and (
                time.monotonic() - asked > _SECONDS_TO_STOP
                or all(worker.task is None for worker in self._workers)
            ):
                raise KeyboardInterrupt
            for worker in self._ready():
                ended = self._hear(worker)
                if ended is not None and asked is None:
                    return ended

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> "list[_Worker]":
        busy = [worker for worker in self._workers if worker.task is not None]
        ready = wait([worker.connection for worker in busy], timeout=_SECONDS_TO_ASK)
        return [worker for worker in busy if worker.connection in ready]

    def _hear(self, worker: "_Worker") -> tuple[str, str | None] | None:
        task = worker.task
        assert task is not None
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            return self._lost(worker, task)
        if isinstance(message, _Told):
            phase, done, total, unit = message.words
            told = self._tools.progress
            told(f"{task.name} {phase}", done, total, unit, **message.facts)
        elif isinstance(message, str):
            self._tools.say(message)
        elif isinstance(message, _Raised):
            message.error.add_note(message.trace)
            raise message.error
        elif isinstance(message, _Ended):
            worker.task = None
            return task.name, message.reason
        return None

    def _lost(self, worker: "_Worker", task: Task) -> tuple[str, str | None] | None:
        code = worker.renew()
        if self._attempts[task.name] < _ATTEMPTS:
            self._attempts[task.name] += 1
            self._tools.say(f"{task.name}: its process {_how_ended(code)}; it is tried again")
            worker.begin(task)
            return None
        return task.name, f"its process {_how_ended(code)}, {_ATTEMPTS} times"


class _Told(NamedTuple):
    words: tuple[str, int, int, str]
    facts: dict[str, float]


class _Ended(NamedTuple):
    reason: str | None


class _Raised(NamedTuple):
    error: BaseException
    trace: str


class _Worker:
    """A process, and the task that it has."""

    def __init__(self, device: str, threads: int, stop: Any) -> None:
        self._given = device, threads, stop
        self.task: Task | None = None
        self._start()

    def _start(self) -> None:
        self.connection, other = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(other, *self._given), daemon=True)
        self._process.start()
        other.close()  # so that the end of the process ends the connection

    def begin(self, task: Task) -> None:
        self.task = task
        self.connection.send(task)

    def renew(self) -> int | None:
        """Start another process in the place of one that was killed; return how that ended."""
        self.task = None
        self.connection.close()
        self._process.join()
        code = self._process.exitcode
        self._start()
        return code

    def close(self) -> None:
        self._process.terminate()
        self._process.join()
        self.connection.close()


def _how_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _work(connection: Connection, device: str, threads: int, stop: Any) -> None:
    """Run tasks until the connection ends. What a task is made of is loaded when one comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    os.environ |= {"CUDA_VISIBLE_DEVICES": device, "OMP_NUM_THREADS": str(threads)}
    tools = Tools(throttled(_teller(connection)), connection.send, stop.is_set)
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_Ended(attempt(task, tools)))
        except BaseException as error:  # the first process raises it
            connection.send(_Raised(error, traceback.format_exc()))


def _teller(connection: Connection) -> Progress:
    def tell(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        connection.send(_Told((phase, done, total, unit), facts))

    return tell


def throttled(progress: Progress) -> Progress:
    """Return a progress that passes on the begin and the end of a phase, and little between."""
    last = 0.0

    def told(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        nonlocal last
        if done in (0, total) or time.monotonic() - last > _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            progress(phase, done, total, unit, **facts)

    return told
