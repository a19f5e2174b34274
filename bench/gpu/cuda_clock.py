"""Measures time and memory on a CUDA device."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..clock import Call, CpuClock, Peak, bytes_of

FLUSHED = 2  # a flush writes this many times the size of the L2 cache
L2_BYTES = 128 << 20  # where the driver does not tell the size of the cache


class CudaClock(CpuClock):
    """Measures times by CUDA events, with the L2 cache flushed, and memory by torch's allocator."""

    device = torch.device("cuda")

    def describe(self) -> dict[str, object]:
        """Return the name of the GPU and those of its properties that explain times."""
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
        """Write more than the L2 cache holds; the host also runs ahead of the GPU meanwhile."""
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

    def peak(self, call: Call) -> Peak:
        """Make a call and return how much more was allocated during it than before it."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        size = bytes_of(call())
        torch.cuda.synchronize()
        return Peak(max(0, torch.cuda.max_memory_allocated() - before), size)

    def free_bytes(self) -> int:
        """Return how much memory is free on the GPU."""
        self.release()
        return int(torch.cuda.mem_get_info()[0])

    def release(self) -> None:
        """Return the memory that torch keeps cached to the GPU."""
        torch.cuda.empty_cache()

    def answers(self) -> bool:
        """Return whether the GPU still works; after an illegal access, this process has lost it."""
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
        ValueError: torch finds no GPU that it can use.
    """
    if not torch.cuda.is_available():
        built = "finds no GPU" if torch.version.cuda else "is built without CUDA"
        raise ValueError(f"bench gpu needs an NVIDIA GPU: torch {torch.__version__} {built}")
    return CudaClock()


def _l2_bytes(properties: Any) -> int:
    return int(getattr(properties, "L2_cache_size", 0)) or L2_BYTES
