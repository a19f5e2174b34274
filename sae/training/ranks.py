"""The processes of one training run, as torchrun starts them, and what they tell one another.

A process that is lost, or cut off, ends the waiting of the others with an error: at once where its
connection closes, after `PATIENCE` where nothing is heard. Work that only the first process does
may take longer than that: it tells the others from time to time that it still lives.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(minutes=10)
BEAT = 30.0  # seconds between two signs of life

T = TypeVar("T")

# Their names of before torch 2.13 are deprecated since.
_REDUCE_SCATTER: Any = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
_ALL_GATHER: Any = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


class LostProcessError(ConnectionError):
    """Another process of the run ended, or cannot be reached."""


class Ranks:
    """All processes of a run; of a single one, no call does anything but what it says of itself.

    Args:
        rank: the number of this process, from 0 on.
        world: how many there are.
        group: how they reach one another.
    """

    def __init__(self, rank: int = 0, world: int = 1, group: Any = None) -> None:
        self.rank = rank
        self.world = world
        self._group = group

    @property
    def first(self) -> bool:
        """Whether this process writes and shows what is of all."""
        return self.rank == 0

    def apart(self) -> "Ranks":
        """Return the same processes with connections of their own, for another thread."""
        group = None
        if self.world > 1:
            group = dist.new_group(backend="gloo", timeout=PATIENCE)
        return Ranks(self.rank, self.world, group)

    def any(self, *flags: bool) -> list[bool]:
        """Return of each flag whether it is True in any process; all wait for all."""
        if self.world == 1:
            return [*flags]
        told = torch.tensor(flags, dtype=torch.uint8)
        with _talking():
            dist.all_reduce(told, dist.ReduceOp.MAX, group=self._group)
        return [bool(flag) for flag in told.tolist()]

    def gather(self, mine: T) -> list[T]:
        """Return what each process gives, in their order; all wait for all."""
        if self.world == 1:
            return [mine]
        found: list[Any] = [None] * self.world
        with _talking():
            dist.all_gather_object(found, mine, group=self._group)
        return found

    def on_first(self, work: Callable[[], T]) -> T | None:
        """Do ``work`` in the first process; the others wait, however long it takes, for None."""
        if self.world == 1:
            return work()
        if self.first:
            with self._beating():
                return work()
        while not self._told_done():
            pass
        return None

    def from_first(self, given: T | None) -> T:
        """Return what the first process gives; what the others give does not count."""
        found: list[Any] = [given]
        if self.world > 1:
            with _talking():
                dist.broadcast_object_list(found, src=0, group=self._group)
        result: T = found[0]
        return result

    def tensor_from_first(self, tensor: Tensor) -> None:
        """Give ``tensor``, on the CPU and of one shape in all, the first process' numbers."""
        if self.world > 1:
            with _talking():
                dist.broadcast(tensor, src=0, group=self._group)

    def sum(self, tensor: Tensor) -> None:
        """Add up ``tensor``, of one shape in all, in place; all get the same bits."""
        with _talking():
            dist.all_reduce(tensor, group=self._group)

    def own_rows(self, rows: Tensor) -> Tensor:
        """Return the view of those of ``rows`` (L, D) that are this process' own, of L / world."""
        return rows.chunk(self.world)[self.rank]

    def sum_own_rows(self, rows: Tensor) -> Tensor:
        """Return the sum over all processes of those of ``rows`` (L, D) that are its own."""
        found = torch.empty_like(self.own_rows(rows))
        with _talking():
            _REDUCE_SCATTER(found, rows, group=self._group)
        return found

    def spread_rows(self, rows: Tensor) -> None:
        """Give all of ``rows`` (L, D) the numbers that the process has whose own they are."""
        with _talking():
            _ALL_GATHER(rows, self.own_rows(rows).clone(), group=self._group)

    def rows_on_first(self, own: Tensor) -> Tensor:
        """Return to the first process all rows (L, D), of which each gives its own."""
        whole = own.new_empty(len(own) * self.world, *own.shape[1:]) if self.first else own
        parts = [*whole.chunk(self.world)] if self.first else None
        with _talking():
            dist.gather(own, parts, group=self._group)
        return whole

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Tell the others now and then that the block still runs, and at its end that it is done.

        If it raises, they are told nothing more: this process ends, and they with it.
        """
        done, lost = threading.Event(), []

        def beat() -> None:
            try:
                while not done.wait(BEAT):
                    self._told_done()
            except LostProcessError as error:
                lost.append(error)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        if lost:
            raise lost[0]
        self._told_done(done=True)

    def _told_done(self, *, done: bool = False) -> bool:
        told = torch.tensor([done], dtype=torch.uint8)
        self.tensor_from_first(told)
        return bool(told)


@contextmanager
def open_ranks(device: str) -> Iterator[Ranks]:
    """Join the other processes of this run; a process that torchrun did not start is alone.

    With ``device`` "cuda" each process of a machine takes the GPU of its own number there.

    Raises:
        ValueError: there are fewer GPUs than processes, or the environment says too little.
        LostProcessError: the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    if device == "cuda":
        _take_gpu()
    with _talking():
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    yield Ranks(dist.get_rank(), dist.get_world_size(), dist.group.WORLD)
    dist.destroy_process_group()


def _take_gpu() -> None:
    number, found = int(os.environ.get("LOCAL_RANK", "-1")), torch.cuda.device_count()
    if number < 0:
        raise ValueError("device: LOCAL_RANK is not set; start the processes with torchrun")
    if number >= found:
        raise ValueError(
            f"device: process {number} of this machine has no GPU of its own, torch finds {found}: "
            "start as many processes as there are GPUs"
        )
    torch.cuda.set_device(number)


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo, nccl and the rendezvous have no kind of their own
        raise LostProcessError("another process of the run ended, or cannot be reached") from error
