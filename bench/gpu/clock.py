"""The clock and the memory's gauge of a device: CUDA's, and a CPU's that stands in for them."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...common.memory import PeakMemory, available_memory
from ..machine import processor

Way = Callable[[], object]

LEAST_ROUNDS = 3  # however long they take
FLUSHED = 2  # times the L2 cache
L2_BYTES = 128 << 20  # where the driver does not say


class LostDeviceError(Exception):
    """The device answers no more: nothing else can be measured in this process."""


class CpuClock:
    """Wall-clock times of a CPU, so that everything but CUDA's own calls runs without a GPU."""

    device = torch.device("cpu")

    def describe(self) -> dict[str, object]:
        """Return what stands at the head of all numbers."""
        return {"device": processor(), "clock": "wall clock"}

    def samples(
        self, ways: Mapping[str, Way], rounds: int, enough: Callable[[], bool]
    ) -> dict[str, list[float]]:
        """Time ways in turns; return the seconds of each call.

        Args:
            ways: name -> call without arguments.
            rounds: how often each is timed, after one call to warm up.
            enough: asked after each round from the third on; True ends it.
        """
        for way in ways.values():
            way()
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for done in range(1, rounds + 1):
            marks = {}
            for name, way in ways.items():
                self.flush()
                start = self.mark()
                way()
                marks[name] = start, self.mark()
            self.synchronize()
            for name, (start, stop) in marks.items():
                taken[name].append(self.between(start, stop))
            if done >= LEAST_ROUNDS and enough():
                break
        return taken

    def flush(self) -> None:
        """Push what the last call left out of the caches."""

    def mark(self) -> Any:
        """Return this moment."""
        return time.perf_counter()

    def between(self, start: Any, stop: Any) -> float:
        """Return the seconds between two moments; `synchronize` comes first."""
        return float(stop - start)

    def synchronize(self) -> None:
        """Wait until all work is done."""

    def peak_bytes(self, way: Way) -> int:
        """Return by how many bytes memory grew during a call, its results included."""
        with PeakMemory() as memory:
            result = way()
        del result  # it is there when memory is looked at for the last time
        return max(0, memory.peak_bytes)

    def free_bytes(self) -> int:
        """Return how much memory can be had."""
        return available_memory()

    def release(self) -> None:
        """Give memory back that nobody holds."""

    def answers(self) -> bool:
        """Whether the device still works after an error."""
        return True


class CudaClock(CpuClock):
    """CUDA events, with the L2 cache flushed before each call, and CUDA's own memory numbers."""

    device = torch.device("cuda")

    def describe(self) -> dict[str, object]:
        """Return the GPU's name and what matters of it."""
        properties = torch.cuda.get_device_properties(self.device)
        return {
            "device": properties.name,
            "compute capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
            "L2_bytes": _l2_bytes(properties),
            "CUDA": torch.version.cuda,
            "clock": "CUDA events, L2 cache flushed before each call",
        }

    def flush(self) -> None:
        """Write more than the L2 cache holds; it also lets the host run ahead of the GPU."""
        self._scratch.zero_()

    def mark(self) -> Any:
        """Record an event."""
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def between(self, start: Any, stop: Any) -> float:
        """Return the seconds between two events."""
        return float(start.elapsed_time(stop)) / 1e3

    def synchronize(self) -> None:
        """Wait for the GPU."""
        torch.cuda.synchronize()

    def peak_bytes(self, way: Way) -> int:
        """Return the most bytes allocated during a call, above those before it."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        result = way()
        torch.cuda.synchronize()
        del result
        return max(0, torch.cuda.max_memory_allocated() - before)

    def free_bytes(self) -> int:
        """Return what is free on the GPU."""
        self.release()
        return int(torch.cuda.mem_get_info()[0])

    def release(self) -> None:
        """Give cached memory back."""
        torch.cuda.empty_cache()

    def answers(self) -> bool:
        """Whether the GPU still works: after an illegal access it never does in this process."""
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return False
        return True

    @cached_property
    def _scratch(self) -> Tensor:
        size = FLUSHED * _l2_bytes(torch.cuda.get_device_properties(self.device))
        return torch.empty(size, dtype=torch.uint8, device=self.device)


def find_gpu() -> CudaClock:
    """Return the clock of the GPU.

    Raises:
        ValueError: there is none that torch can use.
    """
    if not torch.cuda.is_available():
        built = "finds no GPU" if torch.version.cuda else "is built without CUDA"
        raise ValueError(f"bench gpu needs an NVIDIA GPU: torch {torch.__version__} {built}")
    return CudaClock()


def _l2_bytes(properties: Any) -> int:
    return int(getattr(properties, "L2_cache_size", 0)) or L2_BYTES
