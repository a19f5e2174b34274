"""Scale and bias of pooled latents, by least squares on stored activations.

On token n, let t_n be the mean of a_m,n <w_m, d_g> over the members m of group g that are active:
what they add along the group's direction d_g, with a the activations and w the decoder rows. Over
the tokens on which a member is active, the scale s and the bias c minimise

    sum_n (s <e_g, x_n> + c - t_n)^2,

which sums over these tokens solve: s = cov(u, t) / var(u) with u_n = <e_g, x_n>, and
c = mean(t) - s mean(u). A scale is never below 0: then the bias alone is fitted. A group of equal
members gets their own scale and bias, since an active latent is linear in x.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.blocks import slices
from ...sae import SAE
from .directions import Members

_PAIRS = 8192
"""Pairs of a token and a group whose products are computed at once: it bounds the memory."""

Floats = NDArray[np.float64]


@dataclass
class Sums:
    """Sums over the tokens on which a group is active, (G,) each."""

    count: Floats
    u: Floats
    t: Floats
    uu: Floats
    ut: Floats

    @classmethod
    def zeros(cls, groups: int) -> "Sums":
        """Return the sums of no token."""
        return cls(*(np.zeros(groups) for _ in range(5)))

    def add(self, group: NDArray[np.int64], u: Floats, t: Floats) -> None:
        """Add pairs of a token and a group."""
        size = len(self.count)
        self.count += np.bincount(group, minlength=size)
        for total, values in ((self.u, u), (self.t, t), (self.uu, u * u), (self.ut, u * t)):
            total += np.bincount(group, values, size)

    def solve(self) -> tuple[Floats, Floats]:
        """Return scale and bias, (G,) each; both are 0 for a group that was never active."""
        count = np.maximum(self.count, 1)
        mean_u, mean_t = self.u / count, self.t / count
        variance = self.uu / count - mean_u**2
        covariance = self.ut / count - mean_u * mean_t
        # Below this the variance is rounding: the token's scores are all equal.
        varies = variance > 1e-12 * self.uu / count
        scale = np.where(varies, covariance / np.where(varies, variance, 1), 0)
        scale = np.maximum(scale, 0)
        return scale, mean_t - scale * mean_u


@torch.no_grad()
def fit_sums(
    batches: Iterable[Tensor],
    saes: Sequence[SAE],
    found: Members,
    encoder: Tensor,
    lengths: Sequence[Tensor],
) -> Sums:
    """Sum over the activations what `Sums.solve` needs.

    Args:
        batches: (B, D) activations.
        saes: those of the groups.
        found: the groups.
        encoder: (G, D) their encoder directions.
        lengths: of `directions.along`.
    """
    sums = Sums.zeros(len(found.group))
    for x in batches:
        group, token, said = _said(x, saes, found, lengths)
        for block in slices(len(group), _PAIRS):
            rows = encoder[torch.from_numpy(group[block])]
            u = (x[torch.from_numpy(token[block])].double() * rows.double()).sum(dim=1)
            sums.add(group[block], u.numpy(), said[block])
    return sums


def _said(
    x: Tensor, saes: Sequence[SAE], found: Members, lengths: Sequence[Tensor]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the pairs of a group and a token where a member is active, with t of each."""
    keys, parts = [], []
    groups = len(found.group)
    for sae, place, length in zip(saes, found.place, lengths, strict=True):
        top = sae.encode(x)
        row, column = torch.nonzero((top.indices >= 0) & (top.values != 0), as_tuple=True)
        latent, value = top.indices[row, column], top.values[row, column].double()
        own = torch.from_numpy(place)[latent]
        inside = own >= 0
        keys.append((row * groups + own)[inside].numpy())
        parts.append((value * length[latent].double())[inside].numpy())
    pairs, number = np.unique(np.concatenate(keys), return_inverse=True)
    said = np.bincount(number, np.concatenate(parts), len(pairs)) / np.bincount(number)
    return pairs % groups, pairs // groups, said
