"""Chooses how many keys a fused scan keeps, by how likely these are too few."""

import math
from dataclasses import dataclass

TOLERATED = 2e-4  # the share of rows that may be expected to need an expensive second pass


@dataclass(frozen=True)
class Scheme:
    """Keep the `kept` best keys of every `group` consecutive latents."""

    group: int
    kept: int

    def keys(self, latents: int) -> int:
        """Return how many keys a row has."""
        return -(-latents // self.group) * self.kept

    def odds(self, latents: int, k: int) -> float:
        """Return a bound on how likely a row is not proved if its k best lie anywhere.

        It is the expected number of sets of `kept` of the k best that share one group.
        """
        groups = -(-latents // self.group)
        return float(math.comb(k, self.kept) / groups ** (self.kept - 1))


SCHEMES = (
    Scheme(128, 4), Scheme(64, 4), Scheme(128, 5), Scheme(64, 5), Scheme(128, 8), Scheme(64, 8),
)  # fmt: skip
"""The cheapest scheme comes first. A scan takes longer the larger `kept` is."""


def contenders(k: int, decides: bool) -> int:
    """Return how many latents no group may lose: the k best, or all with a bound near theirs.

    Args:
        k: how many are wanted.
        decides: whether the scan's scores are the result's. If not, twice as many latents matter:
            see rescore.proposed.

    """
    return k if decides else 2 * k


def choose_scheme(latents: int, k: int, widest: int) -> Scheme | None:
    """Return the cheapest scheme that proves nearly all rows, or None if none does.

    Args:
        latents: L.
        k: how many of them no group may lose.
        widest: the most latents that a group may have, because a tile has no more.

    """
    for scheme in SCHEMES:
        if scheme.group <= widest and scheme.odds(latents, k) <= TOLERATED:
            return scheme
    return None
