"""Stage compile: makes each call that is timed later once, several processes at a time.

Triton keeps what it compiles on disk, so the later stages find it there. Each step says how long
its first call took.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from ..problem import Problem, Shape
from .float32 import best_partners, encoder, listed_pairs, sides_of
from .parts import parts
from .records import Record
from .setting import Setting
from .steps import Steps

SECONDS = 60.0  # the limit of one call

Job = tuple[str, Callable[[], object]]


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=compile_share, args=(setting, steps.file, number))
        for number in range(setting.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        os._exit(1)  # the parent starts this stage again, behind the calls that ended a process


@torch.no_grad()
def compile_share(setting: Setting, file: Path, number: int) -> None:
    """Make every so many-th of the calls, beginning with a number's; this is one process."""
    steps = Steps("compile", file, setting.clock)
    for name, call in list(jobs(setting))[number :: setting.workers]:
        steps.run(name, partial(first_call, setting, call), SECONDS)


def first_call(setting: Setting, call: Callable[[], object]) -> Record:
    """Return how long a call took, with the making of its inputs."""
    started = time.monotonic()
    call()
    setting.clock.synchronize()
    return {"first_call_s": round(time.monotonic() - started, 2)}


def jobs(setting: Setting) -> Iterator[Job]:
    """Yield all calls; their inputs are made when they are called."""
    for shape in setting.shapes:
        for name, (_, call) in parts(setting).items():
            yield f"D {shape.d_in} {name}", partial(_call_part, setting, shape, call)
        yield f"D {shape.d_in} encode {torch.float32}", partial(_call_float32, setting, shape)
    yield "mutual_topk", lambda: best_partners(setting, sides_of(setting))
    yield "pairs_above", lambda: listed_pairs(setting, sides_of(setting))


def _call_part(setting: Setting, shape: Shape, call: Callable[[Problem], object]) -> object:
    return call(setting.problem(shape))


def _call_float32(setting: Setting, shape: Shape) -> object:
    return encoder(setting, setting.problem(shape, torch.float32), False)()
