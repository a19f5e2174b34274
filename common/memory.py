"""How much memory may be used, and how much was."""

import ctypes
import threading
from typing import NamedTuple, Self

from .control_groups import memory_left
from .system import own_memory, unused_memory
from .units import format_bytes

DEFAULT_SHARE = 0.75
"""The share of the available memory that a match may take where no limit is given."""

_SAMPLE_SECONDS = 0.01


class MemoryNeed(NamedTuple):
    """Bytes that work takes beyond its inputs."""

    host: int
    device: int
    """On the GPU, for inputs that are there."""


def available_memory() -> int:
    """Return the bytes that can be allocated without swapping, within control groups' limits."""
    unused, left = unused_memory(), memory_left()
    return unused if left is None else min(unused, left)


def check_memory(what: str, needed: int, memory_limit: int | None) -> None:
    """Refuse work that would take too much memory.

    Args:
        what: the work, as the message names it.
        needed: bytes that it takes.
        memory_limit: bytes allowed; None means three quarters of what is available now.

    Raises:
        ValueError: ``needed`` is more than is allowed, or the limit is not positive.
    """
    if memory_limit is None:
        allowed, source = int(DEFAULT_SHARE * available_memory()), "75 % of what is available now"
    elif memory_limit > 0:
        allowed, source = memory_limit, "memory_limit"
    else:
        raise ValueError(f"memory_limit must be a positive number of bytes, not {memory_limit}")
    if needed > allowed:
        raise ValueError(
            f"{what} takes {format_bytes(needed)} of memory, "
            f"but {format_bytes(allowed)} is allowed ({source})"
        )


class PeakMemory:
    """Measures, while its ``with`` block runs, by how much the process's own memory grew.

    Counted is anonymous resident memory, so pages of memory-mapped inputs do not count. It is
    sampled by a thread, every hundredth of a second.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._before = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        _return_free_memory()
        self._before = own_memory()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sample()
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self.peak_bytes = max(self.peak_bytes, own_memory() - self._before)


def _return_free_memory() -> None:
    """Let the heap give back what is free; taking it again would not show as growth."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is not None:
        trim(0)
