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
        self.position = np.full((num_latents, places), -1)
        """(L, K) int64: the peak's place in the corpus; -1 where there is none."""
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
            offered: contexts, all of later positions than those kept.
            start: in the corpus from here on to ``stop``, at most one context of a latent is kept,
                and at most one is offered.
            stop: see ``start``; equal to it where that does not matter.
        """
        new = np.diff(offered.latent, prepend=-1) != 0
        touched, row = offered.latent[new], np.cumsum(new) - 1  # (U,), (M,)
        key = self.key[touched]  # (U, K)
        wins, removed = self._of_shared(offered, touched, row, start, stop)
        order = wins[np.lexsort((offered.key[wins], row[wins]))]
        row = row[order]
        earlier = (key[row] <= offered.key[order, None]).sum(axis=1)  # (M,): kept ones before it
        gone = np.pad(removed.cumsum(axis=1), ((0, 0), (1, 0)))  # (U, K + 1): before each place
        rank = earlier - gone[row, earlier] + _rank(row)
        arrivals = np.bincount(row * gone.shape[1] + earlier, minlength=gone.size)
        ahead = arrivals.reshape(gone.shape).cumsum(axis=1)[:, :-1]  # (U, K): new ones before it
        self._move(touched, np.arange(key.shape[1]) - gone[:, :-1] + ahead, removed)
        taken = order[rank < key.shape[1]]
        latent, place = offered.latent[taken], rank[rank < key.shape[1]]
        self.key[latent, place] = offered.key[taken]
        self.position[latent, place] = offered.position[taken]
        self.peak[latent, place] = offered.peak[taken]
        self.level[latent, place] = 0
        return Taken(taken, latent, place)

    def _of_shared(
        self,
        offered: Offered,
        touched: NDArray[np.int64],
        row: NDArray[np.int64],
        start: int,
        stop: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return which of those offered are to be kept instead of one between start and stop.

        Returns:
            The numbers (M',) of those offered, without those that come after a kept one there; and
            (U, K), which kept ones come after an offered one there.
        """
        position = self.position[touched]
        held = (position >= start) & (position < stop)  # (U, K), one a row at most
        place = held.argmax(axis=1)
        rivals = np.flatnonzero(
            (offered.position >= start) & (offered.position < stop) & held[row, place[row]]
        )
        owner = row[rivals]
        loses = self.key[touched[owner], place[owner]] <= offered.key[rivals]
        removed = np.zeros_like(held)
        removed[owner[~loses], place[owner[~loses]]] = True
        return np.delete(np.arange(len(row)), rivals[loses]), removed

    def _move(
        self, touched: NDArray[np.int64], to: NDArray[np.int64], removed: NDArray[np.bool_]
    ) -> None:
        """Move the kept contexts of some latents to their new places, those below K."""
        places = self.key.shape[1]
        moved = (self.position[touched] >= 0) & ~removed & (to < places) & (to != np.arange(places))
        row, place = np.nonzero(moved)
        latent = touched[row]
        for name in _STATE:
            array = getattr(self, name)
            array[latent, to[moved]] = array[latent, place]

    def state(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return all arrays, each name after ``prefix``, as `restore` takes them."""
        return {prefix + name: getattr(self, name) for name in _STATE}

    def restore(self, state: dict[str, NDArray[Any]], prefix: str) -> None:
        """Go on from what `state` returned for as many latents."""
        for name in _STATE:
            getattr(self, name)[:] = state[prefix + name]


def _rank(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each entry's number among those of its row; ``row`` is ascending."""
    first = np.flatnonzero(np.diff(row, prepend=-1))
    return np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row)))
