"""Activations that are harvested while they are trained on, and never stored."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Self

import torch
from torch import Tensor

from ...common.memory import check_memory
from ...common.progress import Progress, silent
from ...common.threads import usable_threads
from ...common.units import format_bytes
from .blocks import SLOTS, BlockLayout, block_order
from .config import BLOCK_TOKENS, HarvestConfig
from .messages import Job
from .sources import check_model, check_text
from .stream_process import StreamProcess


class ActivationStream:
    """Activations of a language model, harvested by a process of its own while they are used.

    The activations of the text, in its order, are those that `harvest` would store. They are
    shuffled in blocks: a block is filled, permuted by (shuffle_seed, epoch, block), and read in
    batches, while the next one is filled. There are never more than two, so that the memory is
    bounded and the harvest waits for the trainer. The batches do not depend on the timing, nor on
    where they begin: for that, the current block is harvested again, from the same batches of
    sequences.

    For several hookpoints the model runs once. Their rows belong to the same tokens: where
    ``config.skip_first`` is None, the first token is left out if it is a sink at one of them.

    The model's roundings may depend on the processor; on the CPU, torch may also round otherwise
    with another number of threads.

    Args:
        config: what to collect; ``tokens`` is what one pass over the text has to give.
        block_tokens: tokens of a block, for all hookpoints together.
        threads: of torch in that process; by default half of the processors.
        memory_limit: bytes that the blocks may take; by default three quarters of what is
            available.
        progress: told of the phase "model".
        say: told in one line how large the blocks are.

    Attributes:
        widths: d_in of each hookpoint, in the order asked for, patterns in that of the model.
        fingerprint: SHA-256 of the model, the text, the settings and the hookpoints.
        tokens: activations in a pass over the text, at each hookpoint.
        skip_first: whether the first token of a text was left out.
        bos: the token that sequences begin with and that is left out, or None.
        dtype: in which the model runs.

    Raises:
        FileNotFoundError: there is no such text, or no such model file.
        ImportError: a package that reads the model or the text is not installed.
        OSError: the model cannot be loaded, or its process was killed.
        ValueError: as `harvest`, or the blocks take too much memory.
    """

    def __init__(
        self,
        config: HarvestConfig,
        *,
        block_tokens: int = BLOCK_TOKENS,
        threads: int | None = None,
        memory_limit: int | None = None,
        progress: Progress | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        if block_tokens < 1:
            raise ValueError(f"block_tokens must be at least 1, got {block_tokens}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        check_model(config.model)
        check_text(config.text)
        self._job = Job(config, block_tokens, threads or default_threads())
        progress = progress or silent
        progress("model", 0, 1, "model")
        self._process = StreamProcess(self._job)
        self._begun = False
        progress("model", 1, 1, "model")
        ready = self._process.ready
        self.widths = ready.widths
        self.tokens = config.tokens
        self.skip_first, self.bos, self.dtype = ready.skip_first, ready.bos, ready.dtype
        self._layout = BlockLayout(ready.widths, ready.dtype, min(block_tokens, config.tokens))
        self._identity = f"{ready.identity} in blocks of {self._layout.rows}"
        self.fingerprint = _sha256(self._identity, *self.widths)
        size = f"blocks of {self._layout.rows:,} tokens"
        try:
            what = f"block_tokens: a stream that holds {SLOTS} {size}"
            check_memory(what, self._layout.memory, memory_limit)
        except ValueError:
            self.close()
            raise
        if say is not None:
            say(
                f"{', '.join(self.widths)}: {self.tokens:,} activations each, streamed in {size}; "
                f"{SLOTS} of them take {format_bytes(self._layout.memory)} of memory"
            )

    def fingerprint_of(self, hookpoint: str) -> str:
        """Return the identity of one hookpoint's activations, whatever others there are."""
        return _sha256(self._identity, hookpoint)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return how many batches `batches` yields for one pass over the text.

        Raises:
            ValueError: a batch is larger than the text, or not positive.
        """
        if not 0 < batch_size <= self.tokens:
            raise ValueError(
                f"batch_size must be between 1 and the {self.tokens:,} activations of the stream, "
                f"got {batch_size:,}"
            )
        return self.tokens // batch_size

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """Return an iterator over ``epochs`` passes of batches; only the last one asked for works.

        The first call goes on with the model that is loaded; another one loads it again.

        Args:
            batch_size: B, activations in a batch. The rest of a block is the beginning of the next
                batch; only the rest of an epoch is left out.
            shuffle_seed: the order depends on it, the epoch and the block only.
            start_step: begin at this batch, counted from the first epoch's start. Text before the
                block that it lies in is only cut in tokens; what follows is the same as without.
            epochs: passes over the text, each in an order of its own.

        Returns:
            (B, d_in) float32 by hookpoint; the same rows belong to the same tokens.

        Raises:
            ValueError: ``batch_size`` does not fit; while iterating: the text ends before
                ``tokens``, an activation is NaN or infinite, a token id is out of range.
            OSError: while iterating: the text cannot be read, or the process was killed.
        """
        steps = self.steps_per_epoch(batch_size)
        if start_step >= steps * epochs:
            return iter(())
        if self._begun:
            self._process.close()
            self._process = StreamProcess(self._job)
        self._begun = True
        epoch, step = divmod(start_step, steps)
        block = step * batch_size // self._layout.rows
        self._process.begin(self._layout, epoch, block, epochs)
        return self._batches(batch_size, shuffle_seed, start_step, epochs, self._process)

    def _batches(
        self, batch_size: int, seed: int, start_step: int, epochs: int, process: StreamProcess
    ) -> Iterator[dict[str, Tensor]]:
        steps = self.steps_per_epoch(batch_size)
        left = steps * epochs - start_step
        first_epoch, step = divmod(start_step, steps)
        try:
            for epoch in range(first_epoch, epochs):
                pieces = self._pieces(batch_size, seed, epoch, step * batch_size, process)
                for batch in _joined(pieces, batch_size):
                    left -= 1
                    if left == 0:
                        process.close()  # the rest of the text is not needed
                    yield batch
                    if left == 0:
                        return
                step = 0
        finally:
            process.close()

    def _pieces(
        self, batch_size: int, seed: int, epoch: int, start: int, process: StreamProcess
    ) -> Iterator[dict[str, Tensor]]:
        """Yield activations from place ``start`` of an epoch on, up to the ends of batches."""
        first_block, offset = divmod(start, self._layout.rows)
        missing = batch_size
        for block in range(first_block, self._layout.blocks(self.tokens)):
            found = process.next_block()
            order = block_order(seed, epoch, block, len(next(iter(found.values()))))[offset:]
            offset = 0
            while len(order):
                chosen, order = order[:missing], order[missing:]
                piece = {name: x.index_select(0, chosen).float() for name, x in found.items()}
                if not len(order):
                    process.free()  # it is filled again while the trainer works on this batch
                yield piece
                missing = missing - len(chosen) or batch_size

    @property
    def pid(self) -> int:
        """The number of the process that harvests."""
        return self._process.pid

    def close(self) -> None:
        """End the process that harvests."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_threads() -> int:
    """Return the torch threads of a harvest beside a training: half of `usable_threads`."""
    return max(1, usable_threads() // 2)


def _joined(pieces: Iterator[dict[str, Tensor]], batch_size: int) -> Iterator[dict[str, Tensor]]:
    """Yield full batches; a rest at the end is left out."""
    waiting: list[dict[str, Tensor]] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(next(iter(piece.values())))
        if count == batch_size:
            yield {name: torch.cat([part[name] for part in waiting]) for name in piece}
            waiting, count = [], 0


def _sha256(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
