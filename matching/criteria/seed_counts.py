"""In how many of several dictionaries a latent is, from what each two of them share."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 20
"""Dictionaries up to which the spread is over all sets of others: 2^19 of them for each base."""

DRAWS = 20
"""Orders of the others that are drawn for each base where there are more dictionaries."""

Shares = NDArray[np.float64]


class Others:
    """Which of the other dictionaries share each latent of one dictionary, the base.

    Args:
        num_latents: L of the base.
        num_others: how many other dictionaries there are, 1 or more.
    """

    def __init__(self, num_latents: int, num_others: int) -> None:
        self.num_others = num_others
        # One bit for each latent and each other: (L, ceil(num_others / 8)).
        self._bits = np.zeros((num_latents, -(-num_others // 8)), dtype=np.uint8)

    def __len__(self) -> int:
        """Return L."""
        return len(self._bits)

    def add(self, other: int, shares: NDArray[np.bool_]) -> None:
        """Note which latents, (L,), another dictionary shares: number ``other``, from 0 on."""
        self._bits[:, other // 8] |= shares.astype(np.uint8) << (other % 8)

    def sharing(self) -> NDArray[np.bool_]:
        """Return whether each other shares each latent, (L, num_others)."""
        bits = np.unpackbits(self._bits, axis=1, count=self.num_others, bitorder="little")
        return bits.astype(bool)


def in_exactly(base: Others) -> list[int]:
    """Return how many latents are in exactly 1, 2, ... dictionaries, the base among them."""
    counts = np.bincount(base.sharing().sum(axis=1), minlength=base.num_others + 1)
    return [int(count) for count in counts]


def exact_shares(bases: Sequence[Others]) -> list[dict[str, Any]]:
    """Return which share of a base's latents is in exactly n dictionaries, for n = 1, 2, ...

    Args:
        bases: one or more, all with the same number of others, S - 1.

    Returns:
        One entry for each n up to S: "dictionaries" (n), and "mean", "std", "min" and "max" of the
        share over the bases. The means sum to 1.
    """
    counts = [np.array(in_exactly(base)) / max(len(base), 1) for base in bases]
    shares = np.stack(counts)  # (bases, S)
    return [
        {
            "dictionaries": n,
            "mean": float(share.mean()),
            "std": float(share.std()),
            "min": float(share.min()),
            "max": float(share.max()),
        }
        for n, share in enumerate(shares.T, 1)
    ]


def only_in_base(bases: Sequence[Others]) -> list[dict[str, Any]]:
    """Return which share of a base's latents is in none of n - 1 others, for n = 2, 3, ...

    The mean is over all bases and all sets of n - 1 others, and exact at any number of them: a
    latent that ``absent`` of the S - 1 others lack is in none of C(absent, n - 1) of the
    C(S - 1, n - 1) sets. Standard deviation and extremes are over the same sets up to 20
    dictionaries. Beyond, they are over 20 random orders of the others for each base, whose first
    n - 1 make the sets; the orders are the same in every call.

    Args:
        bases: one or more, all with the same number of others, S - 1.

    Returns:
        One entry for each n: "dictionaries" (n), "mean", "std", "min", "max", and "sets": how many
        sets of others the last three are over.
    """
    num_others = bases[0].num_others
    means = np.mean([_mean_shares(base) for base in bases], axis=0)  # (S - 1,)
    spreads = _drawn(bases) if num_others >= MOST_EXACT else _all_sets(bases)
    return [
        {
            "dictionaries": n,
            "mean": float(mean),
            "std": float(shares.std()),
            "min": float(shares.min()),
            "max": float(shares.max()),
            "sets": int(shares.size),
        }
        for n, (mean, shares) in enumerate(zip(means, spreads, strict=True), 2)
    ]


def _mean_shares(base: Others) -> Shares:
    """Return the mean share that n - 1 = 1, 2, ... others lack, over all sets of so many."""
    counts = np.array(in_exactly(base), dtype=np.float64)
    absent = base.num_others - np.arange(len(counts))  # of latents in exactly 1, 2, ... of all
    # C(absent, asked) / C(others, asked), one factor more for each that is asked.
    chance, means = np.ones(len(counts)), []
    for asked in range(base.num_others):
        chance = chance * np.maximum(absent - asked, 0) / (base.num_others - asked)
        means.append(float(counts @ chance) / max(len(base), 1))
    return np.array(means)


def _all_sets(bases: Sequence[Others]) -> Iterator[Shares]:
    """Yield for n - 1 = 1, 2, ... the share of each base that each set of others lacks."""
    num_others = bases[0].num_others
    sizes = np.array([members.bit_count() for members in range(2**num_others)])
    shares = np.stack([_shares_within(base) for base in bases])  # (bases, sets)
    for asked in range(1, num_others + 1):
        # In none of the others asked: only in some of those not asked.
        yield shares[:, sizes == num_others - asked]


def _shares_within(base: Others) -> Shares:
    """Return for each set of others, (2^others,), the share that no other outside it shares."""
    powers = 1 << np.arange(base.num_others)
    sets = base.sharing() @ powers  # the set of others that share a latent, as a number
    counts = np.bincount(sets, minlength=2**base.num_others).reshape((2,) * base.num_others)
    for axis in range(base.num_others):
        counts = counts.cumsum(axis)  # sums over subsets, one member after another
    return counts.reshape(-1) / max(len(base), 1)


def _drawn(bases: Sequence[Others]) -> Iterator[Shares]:
    """As `_all_sets`, for the sets that begin random orders of the others."""
    num_others = bases[0].num_others
    rng = np.random.default_rng(0)
    shares = []
    for base in bases:
        sharing = base.sharing()
        for _ in range(DRAWS):
            order = rng.permutation(num_others)
            # The place in the order of the first other that shares a latent; past the end: none.
            shared = sharing[:, order]
            first = np.where(shared.any(axis=1), shared.argmax(axis=1), num_others)
            found = np.bincount(first, minlength=num_others + 1).cumsum()
            shares.append((len(base) - found[:num_others]) / max(len(base), 1))
    yield from np.array(shares).T  # (sets,) for each number of others
