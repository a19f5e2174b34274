"""How many keys a fused scan keeps, and how likely that is too few."""

import math
from dataclasses import dataclass

TOLERATED = 2e-4  # share of rows that may be expected to need a second pass, which is dear


@dataclass(frozen=True)
class Scheme:
    """Of how many consecutive latents how many keys are kept."""

    group: int
    kept: int

    def odds(self, latents: int, k: int) -> float:
        """Return how likely a row is not proved, if its k best lie anywhere.

        The expected number of sets of `kept` among the k best that share a group.
        """
        groups = -(-latents // self.group)
        return float(math.comb(k, self.kept) / groups ** (self.kept - 1))


SCHEMES = (
    Scheme(128, 4), Scheme(64, 4), Scheme(128, 5), Scheme(64, 5), Scheme(128, 8), Scheme(64, 8),
)  # fmt: skip
"""The cheapest first: a scan's time goes by `kept`."""


def contenders(k: int, decides: bool) -> int:
    """Count the latents that no group may lose: the k best, or all whose bound is near theirs.

    Args:
        k: how many are wanted.
        decides: whether the scan's scores are the result's; if not, twice as many matter: see
            rescore.proposed.

    """
    return k if decides else 2 * k


def choose_scheme(latents: int, k: int, widest: int) -> Scheme | None:
    """Return the cheapest scheme that proves nearly all rows; None: better do all densely.

    Args:
        latents: L.
        k: how many of them no group may lose.
        widest: most latents of a group: those of a tile.

    """
    for scheme in SCHEMES:
        if scheme.group <= widest and scheme.odds(latents, k) <= TOLERATED:
            return scheme
    return None
