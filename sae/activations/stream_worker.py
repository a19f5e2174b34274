"""The process that harvests for a trainer: it fills blocks of shared memory, one after another.

`StreamProcess` starts it as ``python -m twinsae.sae.activations.stream_worker LINK MEMORY``, with
two file descriptors: a socket to the trainer, and memory that has no name. It ends with the
trainer, however that ends, and nothing of it stays.
"""

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from mmap import mmap
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from .blocks import SLOTS, BlockLayout
from .config import HarvestConfig
from .hooked_model import HookedModel, arithmetic, harvest_device, is_sink
from .identity import harvest_identity
from .messages import Begin, Filled, Job, Ready
from .text import Documents, documents
from .tokens import stored_positions

# What a user can cause and mend; the trainer raises the same.
_USER_ERRORS = (FileNotFoundError, OSError, ImportError, ValueError)


class Worker:
    """Loads a model, says what it gives, and fills blocks with it.

    Args:
        link: to the trainer.
        memory: the file descriptor of the shared memory, whose size is set here.
        orders: what the trainer has sent.
    """

    def __init__(self, link: Connection, memory: int, orders: "SimpleQueue[Any]") -> None:
        self._link = link
        self._orders = orders
        job: Job = orders.get()
        self._config = job.config
        torch.set_num_threads(job.threads)
        texts = _open(job.config)
        self._model = HookedModel(job.config)
        device = harvest_device()
        dtype = arithmetic(job.config.dtype, device)
        self._model.move(device, dtype)
        first, self._batches = self._model.token_batches(texts)
        outputs = self._model.activations(self._model.names, first, 0)
        self._skip = job.config.skip_first
        if self._skip is None:
            self._skip = any(is_sink(out, first, self._model.bos) for out in outputs.values())
        widths = {name: output.shape[-1] for name, output in outputs.items()}
        self._layout = BlockLayout(widths, dtype, min(job.block_tokens, job.config.tokens))
        os.ftruncate(memory, self._layout.memory)
        self._slots = self._layout.slots(mmap(memory, self._layout.memory))
        self._free, self._next_slot = SLOTS, 0
        settings = {"dtype": dtype, "skip_first": self._skip, "shard_rows": None}
        identity = harvest_identity(job.config, **settings)
        link.send(Ready(widths, dtype, self._skip, self._model.bos, identity))

    def run(self) -> None:
        """Fill the blocks that the trainer asks for, as soon as there is room for each."""
        begin: Begin = self._orders.get()
        first_row = begin.block * self._layout.rows
        for epoch in range(begin.epoch, begin.epochs):
            if epoch > begin.epoch:
                _, self._batches = self._model.token_batches(_open(self._config))
            for at, rows in self._rows(first_row):
                self._write(at, rows)
            first_row = 0

    def _rows(self, first_row: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Yield activations from row ``first_row`` of the text on, and the first one's number.

        Batches of sequences that come before are not run. Those that are run are always the same
        sequences together, because the roundings of a forward pass depend on that.
        """
        row = first_token = 0
        for input_ids in self._batches:
            places = stored_positions(input_ids, self._model.bos, bool(self._skip)).nonzero()
            places = places[: self._config.tokens - row]
            new = places[max(first_row - row, 0) :]
            if len(new):
                outputs = self._model.activations(self._model.names, input_ids, first_token)
                sequence, position = new.unbind(dim=1)
                rows = {name: output[sequence, position] for name, output in outputs.items()}
                yield row + len(places) - len(new), rows
            row += len(places)
            first_token += input_ids.numel()
            if row == self._config.tokens:
                return
        raise ValueError(
            f"text {self._config.text!r} ended after {row:,} of {self._config.tokens:,} "
            f"activations: a stream needs to know their number, so ask for tokens={row} or fewer"
        )

    def _write(self, at: int, rows: dict[str, Tensor]) -> None:
        """Put the activations from row ``at`` of the text on where they belong."""
        size = self._layout.rows
        end = at + len(next(iter(rows.values())))
        begin = at
        while begin < end:
            place = begin % size
            if place == 0:
                self._wait_for_room()
            count = min(size - place, end - begin)
            for name, found in rows.items():
                part = found[begin - at : begin - at + count]
                self._slots[self._next_slot][name][place : place + count] = part
            begin += count
            if begin % size == 0 or begin == self._config.tokens:
                self._link.send(Filled(self._next_slot, place + count))
                self._next_slot = (self._next_slot + 1) % SLOTS

    def _wait_for_room(self) -> None:
        if self._free == 0:
            self._orders.get()  # Free
            self._free = 1
        self._free -= 1


def _open(config: HarvestConfig) -> Documents:
    return documents(config.text, column=config.text_column, split=config.text_split)


def _listen(link: Connection, orders: "SimpleQueue[Any]", trainer: int) -> None:
    """Pass on what the trainer sends, and end this process when the trainer is gone."""
    with suppress(EOFError, OSError):
        while os.getppid() == trainer:  # a child of the trainer may hold its end of the link
            if link.poll(1.0):
                orders.put(link.recv())
    os._exit(1)


def serve(link: Connection, memory: int, orders: "SimpleQueue[Any]") -> None:
    """Work for a trainer until all is harvested, or tell it what went wrong."""
    try:
        Worker(link, memory, orders).run()
    except _USER_ERRORS as error:
        kind = next(kind for kind in _USER_ERRORS if isinstance(error, kind))
        _tell(link, kind(str(error)))
    except Exception as error:
        traceback.print_exc()
        _tell(link, RuntimeError(f"the harvest failed with {type(error).__name__}: {error}"))


def _tell(link: Connection, error: Exception) -> None:
    with suppress(OSError):  # the trainer may be gone
        link.send(error)


def main() -> None:
    """Work for the trainer at the other end of the link."""
    link, memory, trainer = Connection(int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(link, orders, trainer), daemon=True).start()
    serve(link, memory, orders)


if __name__ == "__main__":
    main()
