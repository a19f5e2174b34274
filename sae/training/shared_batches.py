"""One stream of batches for all processes of a run: the first reads it and sends each to all."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations import BatchSource
from .ranks import Ranks


def share_batches(ranks: Ranks, source: BatchSource | None) -> BatchSource:
    """Let all processes of a run read the activations that the first has opened.

    Args:
        ranks: the processes.
        source: what the first process reads; the others, which give None, need not see it.

    Returns:
        In each process the same batches; of a single process ``source`` itself.
    """
    if ranks.world > 1:
        return SharedBatches(ranks, source)
    assert source is not None
    return source


class _About(NamedTuple):
    widths: dict[str, int]
    tokens: int
    fingerprint: str
    fingerprints: dict[str, str]


class SharedBatches:
    """See `share_batches`."""

    def __init__(self, ranks: Ranks, source: BatchSource | None) -> None:
        self._ranks = ranks.apart()  # for a GPU, a thread reads the batches
        self._source = source
        about = self._ranks.from_first(None if self._source is None else _about(self._source))
        self.widths, self.tokens, self.fingerprint, self._fingerprints = about

    def fingerprint_of(self, hookpoint: str) -> str:
        """See `BatchSource`."""
        return self._fingerprints[hookpoint]

    def steps_per_epoch(self, batch_size: int) -> int:
        """See `BatchSource`."""
        return self.tokens // batch_size

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """See `BatchSource`."""
        own: Iterator[dict[str, Tensor]] = iter(())
        if self._source is not None:
            own = self._source.batches(
                batch_size, shuffle_seed=shuffle_seed, start_step=start_step, epochs=epochs
            )
        for _ in range(start_step, epochs * self.steps_per_epoch(batch_size)):
            batch = self._ranks.on_first(lambda: next(own))
            if batch is None:
                batch = {name: torch.empty(batch_size, d) for name, d in self.widths.items()}
            for name in self.widths:
                self._ranks.tensor_from_first(batch[name])
            yield batch


def _about(source: BatchSource) -> _About:
    names = {name: source.fingerprint_of(name) for name in source.widths}
    return _About(dict(source.widths), source.tokens, source.fingerprint, names)
