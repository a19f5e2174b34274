"""Turns what was collected into the arrays of `sae.contexts.table`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .collector import Collector
from .kept import AFTER, BEFORE, KeptContexts
from .table import Contexts


class _Listed(NamedTuple):
    """Contexts, one a row."""

    latent: NDArray[np.int64]
    """(C,)"""
    position: NDArray[np.int64]
    """(C,)"""
    peak: NDArray[np.float32]
    """(C,)"""
    kind: NDArray[np.uint8]
    """(C,)"""
    level: NDArray[np.uint8]
    """(C, 32)"""

    def of(self, order: NDArray[np.int64]) -> "_Listed":
        """Return them in another order."""
        return _Listed(
            self.latent[order],
            self.position[order],
            self.peak[order],
            self.kind[order],
            self.level[order],
        )


def contexts_of(collector: Collector) -> Contexts:
    """Return the contexts that a collector has after its last token."""
    sequence_offsets = collector.sequence_offsets
    latent, position, peak, kind, level = _of_both(collector.top, collector.random)
    sequence = np.searchsorted(sequence_offsets, position, side="right")
    before = np.minimum(position - sequence_offsets[sequence - 1], BEFORE)
    after = np.minimum(sequence_offsets[sequence] - position, AFTER)
    context, place = np.nonzero(level)
    return Contexts(
        count=collector.count.copy(),
        max_active=_largest(collector.top),
        histogram=collector.histograms.count.copy(),
        histogram_end=collector.histograms.end,
        context_offsets=_offsets(latent, len(collector.count)),
        position=position,
        peak=peak,
        kind=kind,
        before=before.astype(np.uint8),
        after=after.astype(np.uint8),
        fire_offsets=_offsets(context, len(position)),
        fire_place=(place - BEFORE + before[context]).astype(np.uint8),
        fire_level=level[context, place],
    )


def _of_both(top: KeptContexts, random: KeptContexts) -> _Listed:
    """List each latent's strongest contexts, then the random ones that are not among them."""
    again = (random.position[:, :, None] == top.position[:, None, :]).any(axis=2)
    one = _listed(top, top.position >= 0, 0)
    other = _listed(random, (random.position >= 0) & ~again, 1)
    both = _Listed(
        np.concatenate([one.latent, other.latent]),
        np.concatenate([one.position, other.position]),
        np.concatenate([one.peak, other.peak]),
        np.concatenate([one.kind, other.kind]),
        np.concatenate([one.level, other.level]),
    )
    return both.of(np.lexsort((both.position, -both.peak, both.kind, both.latent)))


def _listed(kept: KeptContexts, chosen: NDArray[np.bool_], kind: int) -> _Listed:
    latent = np.nonzero(chosen)[0]
    kinds = np.full(len(latent), kind, dtype=np.uint8)
    return _Listed(latent, kept.position[chosen], kept.peak[chosen], kinds, kept.level[chosen])


def _largest(top: KeptContexts) -> NDArray[np.float32]:
    return np.where(top.position[:, 0] < 0, np.float32(np.nan), top.peak[:, 0])


def _offsets(owner: NDArray[np.int64], owners: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.bincount(owner, minlength=owners).cumsum()])
