"""For each latent, the few contexts that come first by a key, of all that were offered so far."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BEFORE = 20
"""Tokens of a window before its peak."""
AFTER = 12
"""Tokens of a window from its peak on, the peak included."""

EMPTY = np.uint64(2**64 - 1)
"""The key of a place that holds no context; no context has it."""

_STATE = ("key", "position", "peak", "level")


class Offered(NamedTuple):
    """Contexts to choose from, by ascending latent."""

    latent: NDArray[np.int64]
    """(M,)"""
    key: NDArray[np.uint64]
    """(M,): a lower one comes first; of equal ones, the lower position."""
    position: NDArray[np.int64]
    """(M,): the peak's place in the corpus; of a latent, each once over all calls."""
    peak: NDArray[np.float32]
    """(M,): the activation there."""


class Taken(NamedTuple):
    """Which of the offered contexts were taken, and where they are kept."""

    number: NDArray[np.int64]
    """(T,): their numbers among those offered."""
    latent: NDArray[np.int64]
    """(T,)"""
    place: NDArray[np.int64]
    """(T,): their rank among the latent's contexts, from 0 on."""


class KeptContexts:
    """Up to K contexts for each of L latents, in the order of their keys.

    The memory is L * K * 52 bytes.

    Args:
        num_latents: L.
        places: K.
    """

    def __init__(self, num_latents: int, places: int) -> None:
        self.key = np.full((num_latents, places), EMPTY)
        """(L, K) uint64, ascending; `EMPTY` where there is none."""
        self.position = np.zeros((num_latents, places), dtype=np.int64)
        """(L, K): the peak's place in the corpus."""
        self.peak = np.zeros((num_latents, places), dtype=np.float32)
        """(L, K): the activation there."""
        self.level = np.zeros((num_latents, places, BEFORE + AFTER), dtype=np.uint8)
        """(L, K, 32): 0 where the latent does not fire, else its activation as a share of the
        peak in 255ths, 1 at least; the peak's own place is `BEFORE`."""

    def would_take(self, latent: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the numbers of the contexts that come before the last one kept of their latent.

        No other can be taken, so that nearly all are discarded here at the price of one look.
        """
        return np.flatnonzero(key < self.key[latent, -1])

    def offer(self, offered: Offered, start: int, stop: int) -> Taken:
        """Keep the best of those kept and those offered.

        Args:
            offered: contexts.
            start: in the corpus from here on to ``stop``, at most one context of a latent is kept,
                and at most one is offered.
            stop: see ``start``; equal to it where that does not matter.
        """
        touched = offered.latent[np.diff(offered.latent, prepend=-1) != 0]  # (U,)
        old_key, old_position = self.key[touched], self.position[touched]
        old_row, old_place = np.nonzero(old_key != EMPTY)
        old = (old_row, old_place)
        olds = len(old_row)
        latent = np.concatenate([touched[old_row], offered.latent])
        key = np.concatenate([old_key[old], offered.key])
        position = np.concatenate([old_position[old], offered.position])
        peak = np.concatenate([self.peak[touched][old], offered.peak])
        order = np.lexsort((position, key, latent))
        order = _without_seconds(order, latent, (position >= start) & (position < stop))
        rank = _rank(latent[order])
        kept = rank < self.key.shape[1]
        order, rank = order[kept], rank[kept]
        old_level = self.level[touched]
        self.key[touched], self.level[touched] = EMPTY, 0
        to = (latent[order], rank)
        self.key[to], self.position[to], self.peak[to] = key[order], position[order], peak[order]
        stays = order < olds
        of = order[stays]
        self.level[latent[of], rank[stays]] = old_level[old_row[of], old_place[of]]
        new = order[~stays]
        return Taken(new - olds, latent[new], rank[~stays])

    def state(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return all arrays, each name after ``prefix``, as `restore` takes them."""
        return {prefix + name: getattr(self, name) for name in _STATE}

    def restore(self, state: dict[str, NDArray[Any]], prefix: str) -> None:
        """Go on from what `state` returned for as many latents."""
        for name in _STATE:
            getattr(self, name)[:] = state[prefix + name]


def _without_seconds(
    order: NDArray[np.int64], latent: NDArray[np.int64], single: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Leave out all but each latent's first of those marked ``single``; ``order`` sorts latents."""
    marked = np.flatnonzero(single[order])
    owner = latent[order[marked]]
    return np.delete(order, marked[1:][owner[1:] == owner[:-1]])


def _rank(latent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each entry's number among those of its latent; ``latent`` is ascending."""
    first = np.flatnonzero(np.diff(latent, prepend=-1))
    return np.arange(len(latent)) - np.repeat(first, np.diff(first, append=len(latent)))
