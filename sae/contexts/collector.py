"""Collects each latent's strongest and random contexts from sparse codes, batch by batch."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..passes.codes import active_codes
from .histogram import Histograms
from .kept import AFTER, BEFORE, KeptContexts, Offered, Taken

TOP = 20
"""The strongest contexts that are kept of a latent, each of another sequence."""
RANDOM = 10
"""The random contexts that are kept of a latent."""


class _Codes(NamedTuple):
    """Activations above 0, by ascending latent, those of a latent by ascending position."""

    latent: NDArray[np.int64]
    """(n,)"""
    position: NDArray[np.int64]
    """(n,): in the corpus."""
    value: NDArray[np.float32]
    """(n,)"""

    def of(self, numbers: NDArray[Any]) -> "_Codes":
        """Return some of them, by number or by truth."""
        return _Codes(self.latent[numbers], self.position[numbers], self.value[numbers])

    def then(self, more: "_Codes") -> "_Codes":
        """Return these and more, in no order."""
        return _Codes(
            np.concatenate([self.latent, more.latent]),
            np.concatenate([self.position, more.position]),
            np.concatenate([self.value, more.value]),
        )


_NONE = _Codes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


class Collector:
    """What is known of L latents after some tokens; `sae.contexts.table` says what it becomes.

    A latent fires on a token if its activation there is above 0. A context is taken when all tokens
    of its window have been seen, so that the result has the same bits however the tokens are split
    in batches. The memory is 1.7 kB a latent, beside one batch.

    Args:
        num_latents: L.
        positions: (N,) int64, ascending: the places in the corpus of the tokens that will come.
        sequence_offsets: (S + 1,) int64: where the corpus' sequences begin, and its end.
    """

    def __init__(
        self,
        num_latents: int,
        positions: NDArray[np.int64],
        sequence_offsets: NDArray[np.int64],
    ) -> None:
        self._positions = positions
        self.sequence_offsets = sequence_offsets
        """As given."""
        self.tokens = 0
        """The tokens so far."""
        self.count = np.zeros(num_latents, dtype=np.int64)
        """(L,): on how many of those that were taken in each latent fires."""
        self.histograms = Histograms(num_latents)
        self.top = KeptContexts(num_latents, TOP)
        self.random = KeptContexts(num_latents, RANDOM)
        self._done = 0  # all positions before it were taken in
        self._waiting = _NONE

    def add(self, values: Tensor, indices: Tensor) -> None:
        """Take in the next n tokens.

        Args:
            values: (n, k), the values of the active latents; 0 in missing places.
            indices: (n, k) int64, which latents these are, each at most once a token; below 0 in
                missing places.

        Raises:
            ValueError: a value is NaN or infinite; nothing may be added after that.
        """
        token, latent, value = active_codes(values, indices, self.tokens)
        fires = value > 0
        position = self._positions[self.tokens + token[fires]]
        self.tokens += len(values)
        new = _Codes(latent[fires], position, value[fires].astype(np.float32))
        codes = self._waiting.then(new)
        if self.tokens < len(self._positions):
            stop = int(self._positions[self.tokens]) - (AFTER - 1)
        else:
            stop = int(self.sequence_offsets[-1])
        if stop > self._done:
            self._take_in(codes, stop)
            codes = codes.of(codes.position >= stop - BEFORE)
            self._done = stop
        self._waiting = codes

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all there is, as arrays that `restore` takes."""
        return {
            "tokens": np.array(self.tokens),
            "done": np.array(self._done),
            "count": self.count,
            **{f"waiting_{name}": one for name, one in self._waiting._asdict().items()},
            **self.histograms.state(),
            **self.top.state("top_"),
            **self.random.state("random_"),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned, of as many latents and the same positions."""
        self.tokens, self._done = int(state["tokens"]), int(state["done"])
        self.count[:] = state["count"]
        self._waiting = _Codes(*(state[f"waiting_{name}"] for name in _Codes._fields))
        self.histograms.restore(state)
        self.top.restore(state, "top_")
        self.random.restore(state, "random_")

    def _take_in(self, codes: _Codes, stop: int) -> None:
        """Take in the tokens from where it was done up to ``stop``."""
        if not len(codes.latent):
            return
        # One number tells latent and place; the gap keeps windows off the next latent's.
        first = int(codes.position.min())
        span = int(codes.position.max()) - first + 1 + BEFORE + AFTER
        place = codes.latent * span + (codes.position - first)
        order = np.argsort(place)
        codes, place = codes.of(order), place[order]
        fresh = np.flatnonzero((codes.position >= self._done) & (codes.position < stop))
        if not len(fresh):
            return
        latent, position, value = codes.of(fresh)
        self.count += np.bincount(latent, minlength=len(self.count))
        self.histograms.add(latent, value)
        key = strength_key(value)
        chosen = self.top.would_take(latent, key)
        chosen = chosen[self._best_of_sequences(latent[chosen], position[chosen], key[chosen])]
        sequence = int(np.searchsorted(self.sequence_offsets, position.min(), side="right")) - 1
        shared = self.sequence_offsets[sequence : sequence + 2].tolist()  # it may have begun before
        self._keep(self.top, codes, place, fresh[chosen], key[chosen], shared)
        key = random_key(latent, position)
        chosen = self.random.would_take(latent, key)
        self._keep(self.random, codes, place, fresh[chosen], key[chosen], [0, 0])

    def _best_of_sequences(
        self,
        latent: NDArray[np.int64],
        position: NDArray[np.int64],
        key: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        """Return the numbers of those that come first of their latent in their sequence."""
        if not len(latent):
            return np.empty(0, dtype=np.int64)
        sequence = np.searchsorted(self.sequence_offsets, position, side="right")
        new = (np.diff(latent, prepend=-1) != 0) | (np.diff(sequence, prepend=-1) != 0)
        starts = np.flatnonzero(new)
        group = np.cumsum(new) - 1
        best = np.flatnonzero(key == np.minimum.reduceat(key, starts)[group])
        first = np.flatnonzero(np.diff(group[best], prepend=-1))  # of equal ones
        return best.take(first)

    def _keep(
        self,
        kept: KeptContexts,
        codes: _Codes,
        place: NDArray[np.int64],
        numbers: NDArray[np.int64],
        key: NDArray[np.uint64],
        shared: list[int],
    ) -> None:
        """Offer some of the codes, and fill in where the latent fires in the windows taken."""
        latent, position, value = codes.of(numbers)
        if not len(latent):
            return
        taken = kept.offer(Offered(latent, key, position, value), *shared)
        number, peak = numbers[taken.number], position[taken.number]
        sequence = np.searchsorted(self.sequence_offsets, peak, side="right")
        begin = np.maximum(peak - BEFORE, self.sequence_offsets[sequence - 1])
        end = np.minimum(peak + AFTER, self.sequence_offsets[sequence])
        low = np.searchsorted(place, place[number] - (peak - begin))
        high = np.searchsorted(place, place[number] + (end - peak))
        _fill_levels(kept, codes, taken, number, low, high)


def _fill_levels(
    kept: KeptContexts,
    codes: _Codes,
    taken: Taken,
    number: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> None:
    """Note the levels of the codes ``low`` to ``high`` beside each code ``number`` taken."""
    lengths = high - low
    context = np.repeat(np.arange(len(number)), lengths)
    inside = np.arange(len(context)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    code, peak = low[context] + inside, number[context]
    share = codes.value[code].astype(np.float64) / codes.value[peak]
    level = np.clip(np.rint(share * 255), 1, 255).astype(np.uint8)
    where = codes.position[code] - codes.position[peak] + BEFORE
    kept.level[taken.latent[context], taken.place[context], where] = level


def strength_key(value: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a key that is lower the larger a value above 0 is."""
    return (~value.view(np.uint32)).astype(np.uint64)  # bits of such floats are in their order


def random_key(latent: NDArray[np.int64], position: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 63 bits that look random and depend on latent and position alone.

    The function is SplitMix64's (Steele, Lea and Flood, OOPSLA 2014, figure 16).
    """
    with np.errstate(over="ignore"):
        z: NDArray[np.uint64] = position.astype(np.uint64) + latent.astype(np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z >> np.uint64(1)
