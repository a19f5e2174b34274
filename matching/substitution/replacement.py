"""What the squared error of a reconstruction becomes when latents in it are replaced.

A reconstruction is a constant plus the sum over latents of c_ti u_i on token t: u_i is the latent's
decoder row at length 1, and its coefficient c_ti holds the value, the row's length, and what undoes
a normalisation (`SAE.output_scale`). What takes a latent's place adds m_ti w_i to the error e_t:

- its direction is replaced by the unit direction p_i: m = c, w_i = p_i - u_i. The length is kept;
- its activation is replaced by the coefficient c' of a partner: m = c' - c, w_i = u_i;
- it is removed: m = c, w_i = -u_i.

For one latent alone, the sum over the tokens of the squared error changes by

    sum_t |e_t + m_ti w_i|^2 - |e_t|^2 = 2 <sum_t m_ti e_t, w_i> + |w_i|^2 sum_t m_ti^2,

so that one sparse product M^T E gives the change for every latent.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...common.blocks import slices

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sparse = Any
"""A scipy.sparse.csc_array (N, L) of float64: scipy ships no types."""

_BLOCK_TOKENS = 256  # whose sums by group are in memory at once
_BLOCK_WIDTH = 256  # columns of M^T E that are in memory at once


class Replacement(NamedTuple):
    """What is added to the error where latents are replaced."""

    coefficients: Sparse
    """(N, L) csc_array: m."""
    vectors: Floats
    """(L, D): w."""


def removed(a: Sparse, units: Floats) -> Replacement:
    """Return what removing each latent adds.

    Args:
        a: (N, L) csc_array, the coefficients c.
        units: (L, D), the decoder's rows at length 1; zero rows stay 0.
    """
    return Replacement(a, -units)


def direction_replaced(a: Sparse, units: Floats, other_units: Floats, partner: Ints) -> Replacement:
    """Return what is added where each latent takes its partner's direction, at its own length.

    Args:
        a: (N, L) csc_array, the coefficients c.
        units: (L, D), the decoder's rows at length 1; zero rows stay 0.
        other_units: (L_B, D), the partners' rows at length 1.
        partner: (L,), latents of B; -1: the latent is removed.
    """
    return Replacement(a, _or_zero(other_units, partner) - units)


def activation_replaced(a: Sparse, b: Sparse, units: Floats, partner: Ints) -> Replacement:
    """Return what is added where each latent takes its partner's coefficient on every token.

    The coefficient counts in lengths of the contribution: the partner's value times the length of
    its own decoder row. It is 0 where the partner does not fire.

    Args:
        a: (N, L) csc_array, the coefficients c.
        b: (N, L_B) csc_array, those of B on the same tokens.
        units: (L, D), the decoder's rows at length 1.
        partner: (L,), latents of B; -1: the latent is removed.
    """
    there = np.flatnonzero(partner >= 0)
    # (L_B, L): picks each latent's partner.
    choice = sparse.csc_array(
        (np.ones(len(there)), (partner[there], there)), shape=(b.shape[1], len(partner))
    )
    return Replacement(sparse.csc_array(b @ choice - a), units)


def changes(replacement: Replacement, error: Floats) -> Floats:
    """Return the change of the summed squared error when each latent alone is replaced.

    Args:
        replacement: of L latents on N tokens.
        error: (N, D), the reconstruction less the target.

    Returns:
        (L,), in squared units of the error; 0 for latents without a coefficient.
    """
    m, w = replacement
    lengths: Floats = np.einsum("ld,ld->l", w, w)
    return 2 * _products(replacement, error) + lengths * _squares(m)


def group_changes(replacement: Replacement, error: Floats, group: Ints, num_groups: int) -> Floats:
    """Return the change when all latents of one group are replaced at once, for each group.

    For the latents of group g it is 2 sum_i <sum_t m_ti e_t, w_i> + sum_t |sum_i m_ti w_i|^2.

    Args:
        replacement: of L latents on N tokens.
        error: (N, D), the reconstruction less the target.
        group: (L,), each latent's, 0 to num_groups - 1; -1: it is not replaced.
        num_groups: G.

    Returns:
        (G,), in squared units of the error.
    """
    members = np.flatnonzero(group >= 0)
    part = Replacement(replacement.coefficients[:, members], replacement.vectors[members])
    own = group[members]
    found = _summed(own, 2 * _products(part, error), num_groups)
    rows = sparse.csr_array(part.coefficients)
    for block in slices(len(error), _BLOCK_TOKENS):
        found += _squares_by_group(rows[block], part.vectors, own, num_groups)
    return found


def cumulative_errors(
    replacement: Replacement, error: Floats, order: Ints, cuts: Sequence[int]
) -> Iterator[Floats]:
    """Yield the error (N, D) with the first n latents of an order replaced, for each n in cuts.

    It is the same array each time, changed.

    Args:
        replacement: of L latents on N tokens.
        error: (N, D), with none replaced.
        order: latents, each at most once.
        cuts: ascending numbers, 0 to len(order).
    """
    m, w = replacement
    error, done = error.copy(), 0
    for cut in cuts:
        band = order[done:cut]
        error += m[:, band] @ w[band]
        done = cut
        yield error


def _or_zero(rows: Floats, partner: Ints) -> Floats:
    return np.where((partner >= 0)[:, None], rows[partner], 0.0)


def _squares(m: Sparse) -> Floats:
    """Return sum_t m_ti^2, (L,)."""
    columns = np.repeat(np.arange(m.shape[1]), np.diff(m.indptr))
    return _summed(columns, m.data**2, m.shape[1])


def _products(replacement: Replacement, error: Floats) -> Floats:
    """Return <sum_t m_ti e_t, w_i>, (L,)."""
    m, w = replacement
    found = np.zeros(m.shape[1])
    for part in slices(error.shape[1], _BLOCK_WIDTH):
        sums = m.T @ np.ascontiguousarray(error[:, part])  # (L, width)
        found += np.einsum("ld,ld->l", sums, w[:, part])
    return found


def _squares_by_group(rows: Sparse, w: Floats, group: Ints, num_groups: int) -> Floats:
    """Return sum_t |sum_i m_ti w_i|^2 over each group's latents, for a block of tokens."""
    entries = rows.tocoo()
    key = entries.row.astype(np.int64) * num_groups + group[entries.col]  # a token and a group
    distinct, place = np.unique(key, return_inverse=True)
    shape = len(distinct), len(group)
    sums = sparse.csr_array((entries.data, (place, entries.col)), shape=shape) @ w
    return _summed(distinct % num_groups, np.einsum("rd,rd->r", sums, sums), num_groups)


def _summed(places: Ints, values: Floats, number: int) -> Floats:
    """Return the sum of the values at each of so many places."""
    return np.bincount(places, values, minlength=number).astype(np.float64)
