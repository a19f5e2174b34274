"""Times the training of several seeds at once beside that of each alone.

Each run is `twinsae train` in a process of its own, so that its processor time is known, with that
of the process that harvests. A short run is subtracted from a long one: what remains is the cost
of the steps between, without starting, loading the model and saving.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from .problem import Shape

SHORT = 4
"""Steps of the short run, and of what a stream harvests at a time."""
TOGETHER, ALONE = "at once", "each alone"


class Cost(NamedTuple):
    """What a run costs."""

    wall: float
    """Seconds."""
    processor: float
    """Seconds of all its threads and processes."""


def bench_seeds(
    shape: Shape, number: int, stream: bool, steps: int, rounds: int
) -> dict[str, Cost]:
    """Time the training of TopK SAEs of several seeds.

    Args:
        shape: the sizes of a batch and of each SAE; on a stream the width is the model's, 576.
        number: of seeds.
        stream: harvest while training; otherwise random activations are stored beforehand.
        steps: how many steps are timed.
        rounds: how often each run is made; the ways take turns.

    Returns:
        What the steps of all seeds cost, the median, by way: `TOGETHER`, in one run, and `ALONE`,
        in a run for each. The runs of one seed alone cost the same, so that one of them is made.

    Raises:
        RuntimeError: a run failed; the message ends with its last line.
    """
    ways = {TOGETHER: [*map(str, range(number))], ALONE: ["0"]}
    taken: dict[str, list[Cost]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, seeds in ways.items():
            short, long = (
                run_cost(shape, seeds, stream, length) for length in (SHORT, SHORT + steps)
            )
            times = number if way == ALONE else 1
            taken[way].append(Cost(*(times * (b - a) for a, b in zip(short, long, strict=True))))
    return {way: Cost(*map(median, zip(*costs, strict=True))) for way, costs in taken.items()}


def run_cost(shape: Shape, seeds: Sequence[str], stream: bool, steps: int) -> Cost:
    """Train in a process of its own, and return what it cost; see `bench_seeds`."""
    rows = steps * shape.num_tokens
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"batch-size": shape.num_tokens, "latents": shape.num_latents, "k": shape.k}
        options = [word for size in sizes for word in (f"--{size}", str(sizes[size]))]
        if stream:
            block = str(SHORT * shape.num_tokens)
            options += ["--stream", "--block-tokens", block, "--tokens", str(rows)]
        else:
            x = np.random.default_rng(0).standard_normal((rows, shape.d_in), np.float32)
            np.save(folder / "x.npy", x)
            options += ["--activations", str(folder / "x.npy")]
        return _cost(["train", "--out", str(folder / "run"), "--seeds", *seeds, *options], folder)


def _cost(words: Sequence[str], folder: Path) -> Cost:
    program = "import sys; from twinsae.cli.main import main; sys.exit(main())"
    with (folder / "log").open("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"twinsae train: {log.read().strip().splitlines()[-1]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)
