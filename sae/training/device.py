"""Where training runs: batches go to a GPU while the one before is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

Batch = dict[str, Tensor]
"""Activations (N, D) by hookpoint."""


def batches_on(name: str, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Return the same batches on a device.

    For a GPU a thread reads the next one and puts it into pinned memory, from which it is copied
    while the GPU works.
    """
    return batches if name == "cpu" else _copied(name, batches)


def _copied(name: str, batches: Iterator[Batch]) -> Iterator[Batch]:
    def pinned() -> Batch | None:
        batch = next(batches, None)
        return None if batch is None else {hook: x.pin_memory() for hook, x in batch.items()}

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(pinned)
        while (batch := coming.result()) is not None:
            coming = thread.submit(pinned)
            # The memory is not used anew before the copy is over: torch's allocator sees to that.
            yield {hook: x.to(name, non_blocking=True) for hook, x in batch.items()}
