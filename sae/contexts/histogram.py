"""Histograms of activations whose range grows with the largest, and that no order changes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 24

_NONE = -(2**20)  # the exponent of a latent that has not fired: below any float's
_MOST = 5  # after so many doublings, all of 24 bins are one


class Histograms:
    """Counts of each of L latents' activations in 24 equal bins from 0 to a power of two.

    The range's end is the least power of two above the largest activation so far. Where it doubles,
    each two bins become one, which is exact: the counts are those of all activations sorted into
    the last range at once, in whatever order they came.

    Args:
        num_latents: L.
    """

    def __init__(self, num_latents: int) -> None:
        self.count = np.zeros((num_latents, BINS), dtype=np.uint32)
        """(L, 24): activations in each bin."""
        self.exponent = np.full(num_latents, _NONE, dtype=np.int32)
        """(L,): the ranges end at 2 to this power."""

    @property
    def end(self) -> NDArray[np.float32]:
        """(L,): where the ranges end; 0 for a latent that has not fired."""
        fired = self.exponent != _NONE
        powers = np.ldexp(np.float32(1), np.where(fired, self.exponent, 0))
        return np.where(fired, powers, np.float32(0))

    def add(self, latent: NDArray[np.int64], value: NDArray[np.float32]) -> None:
        """Count activations (n,), all above 0, of some latents (n,), which are ascending."""
        if not len(latent):
            return
        first = np.flatnonzero(np.diff(latent, prepend=-1))
        largest = self.exponent.copy()
        exponents = np.maximum.reduceat(np.frexp(value)[1], first)  # 2^(e - 1) <= value < 2^e
        largest[latent[first]] = np.maximum(largest[latent[first]], exponents)
        self._grow(largest)
        share = np.ldexp(value.astype(np.float64), -self.exponent[latent])  # exact, and so is x 24
        bins = latent * BINS + (share * BINS).astype(np.int64)
        self.count += (
            np.bincount(bins, minlength=self.count.size).reshape(-1, BINS).astype(np.uint32)
        )

    def _grow(self, exponent: NDArray[np.int32]) -> None:
        doublings = np.minimum(exponent - self.exponent, _MOST)
        self.exponent = exponent
        while len(rows := np.flatnonzero(doublings)):
            pairs = self.count[rows].reshape(-1, BINS // 2, 2).sum(axis=2, dtype=np.uint32)
            self.count[rows] = np.pad(pairs, ((0, 0), (0, BINS // 2)))
            doublings[rows] -= 1

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all arrays, as `restore` takes them."""
        return {"histogram": self.count, "exponent": self.exponent}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned for as many latents."""
        self.count[:], self.exponent[:] = state["histogram"], state["exponent"]
