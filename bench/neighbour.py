"""How much slower a thread is while another process keeps the next core busy.

Cores share memory, caches and the power that sets their clock. So two threads that never wait for
each other are still not twice as fast as one, and that is no fault of how the work is divided.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from ..kernels.topk import mutual_topk
from .clock import CpuClock

_MOST_ROWS = 8192
_NEIGHBOURS = 32  # latents of either side that are looked for
_ROUNDS = 3


def slowdown(num_latents: int, d_in: int) -> float:
    """Return how many times as long one thread takes beside another process that does the same.

    The work is the scan for the nearest latents, of 8,192 latents at most. Alone and beside take
    turns; the time is the median of each.

    Args:
        num_latents: how many latents both sides have at most.
        d_in: their width.

    Returns:
        1 or more.
    """
    size = min(num_latents, _MOST_ROWS), d_in
    before = torch.get_num_threads()
    scan = _Scan(*size)
    try:
        with _neighbour(*size) as pid:

            def beside() -> None:
                os.kill(pid, signal.SIGCONT)
                scan()
                os.kill(pid, signal.SIGSTOP)

            taken = CpuClock().medians({"alone": scan, "beside": beside}, _ROUNDS)
    finally:
        torch.set_num_threads(before)
    return max(1.0, taken["beside"] / taken["alone"])


class _Scan:
    """The scan of random latents, by one thread."""

    def __init__(self, num_latents: int, d_in: int) -> None:
        torch.set_num_threads(1)
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = (torch.randn(num_latents, d_in, generator=generator) for _ in "ab")
        self._m = min(_NEIGHBOURS, num_latents)

    def __call__(self) -> None:
        mutual_topk(self._a, self._b, self._m)


@contextmanager
def _neighbour(num_latents: int, d_in: int) -> Iterator[int]:
    """Start a process that scans again and again; it is stopped (SIGSTOP) until it is let go on."""
    context = get_context("spawn")  # a fork would copy the locks of our threads
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_scan_forever, args=(num_latents, d_in, sender), daemon=True)
    child.start()
    sender.close()  # only the child holds the other end, so the pipe ends when the child does
    try:
        pid: int = receiver.recv()
        os.kill(pid, signal.SIGSTOP)
        yield pid
    finally:
        child.kill()
        child.join()


def _scan_forever(num_latents: int, d_in: int, ready: Connection) -> None:
    scan = _Scan(num_latents, d_in)
    scan()
    ready.send(os.getpid())
    while True:
        scan()
