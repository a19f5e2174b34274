"""Measures time and memory on a CPU; `gpu/cuda_clock.py` does so on a GPU."""

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..common.memory import PeakMemory, available_memory
from .machine import processor

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)

LEAST_ROUNDS = 3  # this many rounds are made even if the time is up


class Peak(NamedTuple):
    """By how many bytes memory grew at most during a call."""

    total: int
    """The growth, with the results of the call."""
    result: int
    """The size of the results, in bytes."""

    @property
    def above_result(self) -> int:
        """Memory that the call needed besides its inputs and its results."""
        return max(0, self.total - self.result)


class CpuClock:
    """Measures wall-clock time and memory on a CPU; its subclass does so on a GPU."""

    device = torch.device("cpu")

    def describe(self) -> dict[str, object]:
        """Return the names of the device and of the clock, for the head of a report."""
        return {"device": processor(), "clock": "wall clock"}

    def samples(
        self,
        ways: Mapping[Name, Call],
        rounds: int,
        enough: Callable[[], bool] = lambda: False,
    ) -> dict[Name, list[float]]:
        """Time several ways of doing one thing.

        The ways take turns, so that a slow moment of a shared machine falls on all of them. Compare
        only times that one call of this function returned.

        Args:
            ways: {name: call without arguments}.
            rounds: how often each way is timed, after one call that warms it up.
            enough: asked after each round from the third on; True ends the measurement.

        Returns:
            {name: the seconds of each timed call}.
        """
        for call in ways.values():
            call()
        taken: dict[Name, list[float]] = {name: [] for name in ways}
        for done in range(1, rounds + 1):
            marks = {}
            for name, call in ways.items():
                self.flush()
                start = self.mark()
                call()
                marks[name] = start, self.mark()
            self.synchronize()
            for name, (start, stop) in marks.items():
                taken[name].append(self.between(start, stop))
            if done >= LEAST_ROUNDS and enough():
                break
        return taken

    def medians(self, ways: Mapping[Name, Call], rounds: int) -> dict[Name, float]:
        """Return the median seconds of each way; see `samples`."""
        return {name: median(taken) for name, taken in self.samples(ways, rounds).items()}

    def flush(self) -> None:
        """Remove what the last call left in the caches; on a CPU this does nothing."""

    def mark(self) -> Any:
        """Return the present moment, in the unit of the clock."""
        return time.perf_counter()

    def between(self, start: Any, stop: Any) -> float:
        """Return the seconds between two moments; call `synchronize` first."""
        return float(stop - start)

    def synchronize(self) -> None:
        """Wait until all work is done."""

    def peak(self, call: Call) -> Peak:
        """Make a call and return by how much memory grew; it is looked at every 10 ms."""
        with PeakMemory() as memory:
            result = call()
        size = bytes_of(result)
        del result  # it must exist until memory is sampled for the last time
        return Peak(max(0, memory.peak_bytes), size)

    def free_bytes(self) -> int:
        """Return how much memory can still be allocated."""
        return available_memory()

    def release(self) -> None:
        """Return cached memory to the device."""

    def answers(self) -> bool:
        """Return whether the device still works after an error."""
        return True


def bytes_of(result: object) -> int:
    """Return the size of all tensors and arrays in nested tuples, lists and mappings."""
    if isinstance(result, Tensor | np.ndarray):
        return int(result.nbytes)
    if isinstance(result, Mapping):
        return sum(map(bytes_of, result.values()))
    return sum(map(bytes_of, result)) if isinstance(result, tuple | list) else 0
