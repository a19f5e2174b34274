"""Which latents of S SAEs make up each latent of the pool, and in which direction they point.

A pooled latent g has one member in some of the SAEs, m_g in all. Its direction is

    v_g = c_g / |c_g|,    c_g = (1 / m_g) sum over the members of d_i / |d_i|

where d_i is a member's row: of the decoders for the pool's decoder, of the encoders for its
encoder. Signs are kept: members are linked by cosines that are positive. |c_g| is 1 where all
members point the same way; for two members of cosine c it is sqrt((1 + c) / 2).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Groups(NamedTuple):
    """The P groups that become the pool's latents."""

    group: Ints
    """(P,) their numbers in the table of stable latents, ascending."""
    members: Ints
    """(P, S) the group's latent in each SAE; -1: it has none there."""

    @property
    def size(self) -> Ints:
        """(P,) how many members each has."""
        found: Ints = (self.members >= 0).sum(axis=1)
        return found


class Directions(NamedTuple):
    """The mean directions of P groups."""

    units: Floats
    """(P, D) of length 1; 0 where all members are zero rows."""
    agreement: Floats
    """(P,) |c_g|, from 0 to 1."""


def groups_of(seed: Ints, latent: Ints, group: Ints, seeds: int, at_least: int) -> Groups:
    """Return the groups with latents of at least so many SAEs.

    Args:
        seed: (n,) the SAE of each latent, 0 to S - 1; with the next two, as of `stable.Stable`.
        latent: (n,) its number there.
        group: (n,) its group, which has at most one latent of each SAE.
        seeds: S.
        at_least: 1 to S.

    Raises:
        ValueError: there are fewer than two SAEs, or ``at_least`` is out of range.
    """
    if seeds < 2:
        raise ValueError(f"expected two SAEs or more to pool, got {seeds}")
    if not 1 <= at_least <= seeds:
        raise ValueError(f"seeds_at_least: expected 1 to the {seeds} SAEs, got {at_least}")
    members = np.full((int(group.max(initial=-1)) + 1, seeds), -1, dtype=np.int64)
    members[group, seed] = latent
    chosen = np.flatnonzero((members >= 0).sum(axis=1) >= at_least)
    return Groups(chosen, members[chosen])


def mean_directions(groups: Groups, rows: Iterable[NDArray[Any]]) -> Directions:
    """Return the groups' mean directions.

    Args:
        groups: P of S SAEs.
        rows: S arrays (L_s, D), of which one is held at a time: the decoders' rows, or the
            encoders'.
    """
    total: Floats | None = None
    for own, matrix in zip(groups.members.T, rows, strict=True):
        if total is None:
            total = np.zeros((len(groups.group), matrix.shape[1]))
        has = own >= 0
        total[has] += unit(matrix[own[has]])
    assert total is not None
    return Directions(unit(total), np.linalg.norm(total, axis=1) / groups.size)


def unit(rows: NDArray[Any]) -> Floats:
    """Return rows (n, D) at length 1, in float64; zero rows stay 0."""
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    found: Floats = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return found
