"""Turns what was collected into the arrays of `sae.contexts.table`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .collector import Collector
from .kept import AFTER, BEFORE, EMPTY, KeptContexts
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


def contexts_of(collector: Collector) -> Contexts:
    """Return the contexts that a collector has after its last token."""
    sequence_offsets = collector.sequence_offsets
    top, random = _listed(collector.top, 0), _listed(collector.random, 1)
    size = int(sequence_offsets[-1])
    again = np.isin(random.latent * size + random.position, top.latent * size + top.position)
    random = _Listed(*(column[~again] for column in random))
    joined = _Listed(*map(np.concatenate, zip(top, random, strict=True)))
    order = np.lexsort((joined.position, -joined.peak, joined.kind, joined.latent))
    latent, position, peak, kind, level = (column[order] for column in joined)
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


def _listed(kept: KeptContexts, kind: int) -> _Listed:
    filled = kept.key != EMPTY
    latent = np.nonzero(filled)[0]
    kinds = np.full(len(latent), kind, dtype=np.uint8)
    return _Listed(latent, kept.position[filled], kept.peak[filled], kinds, kept.level[filled])


def _largest(top: KeptContexts) -> NDArray[np.float32]:
    return np.where(top.key[:, 0] == EMPTY, np.float32(np.nan), top.peak[:, 0])


def _offsets(owner: NDArray[np.int64], owners: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.bincount(owner, minlength=owners).cumsum()])
