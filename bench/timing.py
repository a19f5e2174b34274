"""Times several ways of doing one thing against each other on a noisy machine."""

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def interleaved_medians(
    ways: Mapping[Name, Callable[[], object]], rounds: int
) -> dict[Name, float]:
    """Return the median seconds of each way.

    The ways take turns, so that a slow moment of a shared machine falls on all of them; only the
    ratios of one call mean anything.

    Args:
        ways: name -> call without arguments.
        rounds: how often each is timed, after one round of warm-up.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in ways}
    for call in ways.values():
        call()
    for _ in range(rounds):
        for name, call in ways.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(taken) for name, taken in seconds.items()}
