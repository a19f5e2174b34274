"""The scale and bias of each pooled latent, by least squares.

On token t, member i of group g has the activation a_it, and M_gt are the m_gt members that are
active. What an active member contributes along the pool's direction v_g is on average

    y_gt = (1 / m_gt) sum over M_gt of a_it <d_i, v_g>

(one that is not active counts nowhere, not as 0: among the k largest there may just have been no
place for it). With the pool's encoder direction u_g, the scale s_g and bias c_g minimise

    sum over the tokens with m_gt > 0 of (s_g <u_g, x_t> + c_g - y_gt)^2

in closed form, from five sums a latent. On all other tokens the pool should be silent, too: that is
up to its threshold.

The scale must be positive, for the encoder's direction to keep its sign. Where the fit gives none
that is, as from a single token, it is the members' own, and only c_g is fitted; where no member was
active, both are the members' own: a member's score times <d_i, v_g> is affine in x, with the slope
|e_i| <d_i, v_g> along its encoder row e_i, and the means over the members are taken.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...sae import SAE
from .groups import Floats, Groups, Ints

_BLOCK_BYTES = 2**25  # of rows gathered at once


class Affine(NamedTuple):
    """What turns <u_g, x> into a pooled latent's score."""

    scale: Floats
    """(P,) s_g."""
    bias: Floats
    """(P,) c_g."""


class Member(NamedTuple):
    """One SAE as part of the pool."""

    sae: SAE
    pooled: Ints
    """(L,) the pooled latent of each of its latents; -1: none."""
    along: Floats
    """(L,) <d_i, v_g>; 0 for latents of no group."""
    lengths: Floats
    """(L,) |d_i|."""


class Fitted(NamedTuple):
    """What `fit` found."""

    affine: Affine
    tokens: Ints
    """(P,) on how many tokens a member of each group was active."""
    energy: list[Floats]
    """For each SAE, (L,): the sum over the tokens of |a d|^2, what each latent contributes."""
    l0: list[float]
    """For each SAE: the mean number of its members of groups that are active on a token."""


class Sums:
    """Sums over tokens from which `fit` has each latent's scale and bias; float64.

    Args:
        num_latents: P.
    """

    def __init__(self, num_latents: int) -> None:
        self.tokens = np.zeros(num_latents, dtype=np.int64)
        """(P,) on how many tokens a member was active."""
        self._sums = np.zeros((4, num_latents))  # of p, y, p p, p y

    def add(self, latent: Ints, p: Floats, y: Floats) -> None:
        """Take in e places: a pooled latent, <u_g, x_t> and y_gt, each (e,)."""
        number = len(self.tokens)
        self.tokens += np.bincount(latent, minlength=number)
        for row, values in zip(self._sums, (p, y, p * p, p * y), strict=True):
            row += np.bincount(latent, weights=values, minlength=number)

    def fit(self, own: Affine) -> Affine:
        """Return the least squares; ``own`` is the members' own, for what cannot be fitted."""
        count = np.maximum(self.tokens, 1)
        p, y, pp, py = self._sums / count
        variance, covariance = pp - p * p, py - p * y
        # Below this the variance is the rounding of its two terms.
        wide = (self.tokens > 1) & (variance > 1e-12 * pp)
        scale = np.divide(covariance, variance, out=own.scale.copy(), where=wide)
        scale = np.where(scale > 0, scale, own.scale)
        return Affine(scale, np.where(self.tokens > 0, y - scale * p, own.bias))


def members_of(saes: Sequence[SAE], groups: Groups, decoder: Floats) -> list[Member]:
    """Return the SAEs (S,) as members of a pool whose decoder's rows are ``decoder`` (P, D)."""
    found = []
    for sae, own in zip(saes, groups.members.T, strict=True):
        rows = array(sae.W_dec)
        has = np.flatnonzero(own >= 0)
        pooled = np.full(len(rows), -1, dtype=np.int64)
        pooled[own[has]] = has
        along = np.zeros(len(rows))
        along[own[has]] = (rows[own[has]] * decoder[has]).sum(axis=1)
        found.append(Member(sae, pooled, along, np.linalg.norm(rows, axis=1)))
    return found


def own_affine(members: Sequence[Member], groups: Groups) -> Affine:
    """Return the mean of the members' own scales and biases (P,)."""
    scale, bias = np.zeros(len(groups.group)), np.zeros(len(groups.group))
    for sae, pooled, along, _ in members:
        has = np.flatnonzero(pooled >= 0)
        rows, of_score = array(sae.encoder.weight)[has], array(sae.encoder.bias)[has]
        if not sae.config.transcode:
            of_score = of_score - rows @ array(sae.b_dec)
        scale[pooled[has]] += np.linalg.norm(rows, axis=1) * along[has]
        bias[pooled[has]] += of_score * along[has]
    return Affine(np.maximum(scale / groups.size, 0), bias / groups.size)


def fit(
    members: Sequence[Member], groups: Groups, encoder: Floats, batches: Iterable[Tensor]
) -> Fitted:
    """Fit the pool's scales and biases on tokens, which are held a batch at a time.

    Args:
        members: of S SAEs.
        groups: P of them.
        encoder: (P, D) the pool's encoder directions, of length 1.
        batches: activations (n, D).
    """
    number = len(groups.group)
    sums = Sums(number)
    energy = [np.zeros(len(member.pooled)) for member in members]
    active_members, rows = np.zeros(len(members)), 0
    for x in batches:
        places = [_active(member, x, own) for member, own in zip(members, energy, strict=True)]
        active_members += [len(values) for *_, values in places]
        rows += len(x)
        tokens, latents, values = (np.concatenate(parts) for parts in zip(*places, strict=True))
        # A place is one token and one pooled latent, whichever of its members are active there.
        unique, which = np.unique(tokens * number + latents, return_inverse=True)
        token, latent = np.divmod(unique, number)
        y = np.bincount(which, weights=values) / np.bincount(which)
        sums.add(latent, _products(array(x), encoder, token, latent), y)
    affine = sums.fit(own_affine(members, groups))
    return Fitted(affine, sums.tokens, energy, (active_members / max(rows, 1)).tolist())


def _active(member: Member, x: Tensor, energy: Floats) -> tuple[Ints, Ints, Floats]:
    """Return the tokens, pooled latents, and a_it <d_i, v_g> of a member's active latents.

    ``energy`` (L,) is added to.
    """
    with torch.no_grad():
        top = member.sae.encode(x)
    token, slot = ((top.indices >= 0) & (top.values != 0)).nonzero(as_tuple=True)
    latent, value = top.indices[token, slot].numpy(), array(top.values[token, slot])
    lengths = value * member.lengths[latent]
    energy += np.bincount(latent, weights=lengths * lengths, minlength=len(energy))
    own = member.pooled[latent] >= 0
    latent = latent[own]
    return token.numpy()[own], member.pooled[latent], value[own] * member.along[latent]


def _products(x: Floats, units: Floats, row: Ints, latent: Ints) -> Floats:
    """Return <x[row], units[latent]> of many places, a block of them at a time."""
    found = np.empty(len(row))
    size = max(1, _BLOCK_BYTES // (8 * x.shape[1]))
    for start in range(0, len(row), size):
        part = slice(start, start + size)
        found[part] = np.einsum("ed,ed->e", x[row[part]], units[latent[part]])
    return found


def array(tensor: Tensor) -> Floats:
    """Return a tensor of the CPU as an array of float64."""
    found: Floats = tensor.detach().double().numpy()
    return found
