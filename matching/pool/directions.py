"""The directions of pooled latents: means over the groups that `twinsae stable` found.

A group has at most one latent of each of S SAEs. With d_m the decoder row of member m at length 1,
and e_m its encoder row at length 1, the group's decoder direction is the mean of its d_m, brought
to length 1, and its encoder direction the mean of its e_m, brought to length 1. Cosines of members
count with their signs, so no row is turned.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...sae import SAE


class Members(NamedTuple):
    """Which latents are pooled into which."""

    group: NDArray[np.int64]
    """(G,) the number of each pooled latent's group in ``stable.npz``."""
    size: NDArray[np.int64]
    """(G,) how many members it has."""
    place: list[NDArray[np.int64]]
    """For each SAE, (L,): the pooled latent that each latent is a member of, or -1."""


def members(
    seed: NDArray[np.int64],
    group: NDArray[np.int64],
    group_size: NDArray[np.int64],
    at_least: int,
) -> Members:
    """Return the groups with enough members, in the order of their numbers.

    Args:
        seed: (n,) the SAE of each latent; all latents of SAE 0, then those of SAE 1, and so on.
        group: (n,) the number of its group.
        group_size: (n,) how many latents that group has.
        at_least: the fewest members of a pooled group.
    """
    kept = group_size >= at_least
    groups, first = np.unique(group[kept], return_index=True)
    place = np.where(kept, np.searchsorted(groups, group), -1)
    ends = np.cumsum(np.bincount(seed))[:-1]
    return Members(groups, group_size[kept][first], np.split(place, ends))


def mean_directions(rows: Sequence[Tensor], found: Members) -> Tensor:
    """Return the direction of each group: the mean of its members' unit rows, at length 1.

    Args:
        rows: for each SAE (L, D), its decoder's or its encoder's.
        found: the groups.

    Returns:
        (G, D) float32; a group whose members cancel, or are zero, has a zero row.
    """
    total = torch.zeros(len(found.group), rows[0].shape[1], dtype=torch.float64)
    for matrix, place in zip(rows, found.place, strict=True):
        own = torch.from_numpy(np.flatnonzero(place >= 0))
        unit = torch.nn.functional.normalize(matrix[own].double(), dim=1)
        total.index_add_(0, torch.from_numpy(place)[own], unit)
    return torch.nn.functional.normalize(total, dim=1).float()


def along(saes: Sequence[SAE], found: Members, directions: Tensor) -> list[Tensor]:
    """Return for each SAE (L,): how far a latent's decoder row goes along its group's direction.

    0 for latents that are in no group.
    """
    lengths = []
    for sae, place in zip(saes, found.place, strict=True):
        length = torch.zeros(len(place))
        own = torch.from_numpy(np.flatnonzero(place >= 0))
        rows = sae.W_dec.detach().float()[own]
        length[own] = (rows * directions[torch.from_numpy(place)[own]]).sum(dim=1)
        lengths.append(length)
    return lengths
