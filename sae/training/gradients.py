"""Gradients of the FVU with respect to a TopK SAE's parameters, from its active latents alone.

With v the active latents' values, e = x^ - x and V the batch's total variance, the loss is
sum ||e||^2 / V and (the choice of latents being constant)

    g    = 2 e / V                                     (N, D)
    dv   = <g_n, W_dec[i_nj]>                          (N, k)
    dW_dec[l] = sum v_nl g_n     dW_enc[l] = sum dv_nl (x_n - b_dec)     db_enc[l] = sum dv_nl
    db_dec    = sum g_n - W_enc^T db_enc

the sums running over the tokens n on which latent l is active. The last term of db_dec is there
because the encoder sees x - b_dec.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...kernels.decode import decode_error, gather_dot, sparse_decode
from ...kernels.grads import LatentGrads, latent_grads
from ..model import SAE

LATENTS_OF_SUM = 256  # that one thread adds up in weighted_sum


class Gradients(NamedTuple):
    """The gradients of one batch's FVU, named as the parameters, and what was seen on the way."""

    encoder_weight: Tensor
    """(L, D)."""
    encoder_bias: Tensor
    """(L,)."""
    W_dec: Tensor
    """(L, D)."""
    b_dec: Tensor
    """(D,)."""
    fired: Tensor
    """(L,) int64, tokens of the batch on which each latent was active."""
    radial: Tensor
    """(L,), each row of W_dec's gradient times that row of W_dec: see `remove_parallel`."""
    fvu: Tensor
    """Scalar, the loss."""


def gradient_memory(sae: SAE) -> LatentGrads:
    """Return memory for `fvu_gradients`; SAEs of one shape may use it one after another."""
    weight, bias = sae.encoder.weight.detach(), sae.encoder.bias.detach()
    fired = torch.empty_like(bias, dtype=torch.int64)
    return LatentGrads(
        torch.empty_like(weight), torch.empty_like(weight), torch.empty_like(bias), fired
    )


@torch.no_grad()
def fvu_gradients(
    sae: SAE,
    x: Tensor,
    values: Tensor,
    indices: Tensor,
    variance: Tensor,
    *,
    out: LatentGrads | None = None,
) -> Gradients:
    """Return the FVU of one batch and its gradients.

    Args:
        sae: the model.
        x: (N, D), the batch.
        values: (N, k), the active latents' values; 0 where missing.
        indices: (N, k) int64; -1 where missing.
        variance: scalar, the batch's `total_variance`.
        out: `gradient_memory` to put the latents' gradients into; by default new memory, which
            costs the system more time than the sums take.
    """
    squares, g, d_values = decode_error(values, indices, sae.W_dec, sae.b_dec, x, 2 / variance)
    fvu = squares.sum() / variance
    latents = latent_grads(
        values, d_values, indices, x - sae.b_dec, g, sae.config.num_latents,
        out=out, accumulate=False,
    )  # fmt: skip
    d_b_dec = g.sum(dim=0) - weighted_sum(latents.db_enc, sae.encoder.weight)
    return Gradients(
        latents.dW_enc,
        latents.db_enc,
        latents.dW_dec,
        d_b_dec,
        latents.fired,
        sum_by_latent(values * d_values, indices, sae.config.num_latents),
        fvu,
    )


def sum_by_latent(values: Tensor, indices: Tensor, num_latents: int) -> Tensor:
    """Return each latent's sum (L,) of ``values`` (N, k), which are 0 where the index is -1."""
    if values.is_cuda:  # there index_add_ adds in any order
        return sum_in_order(values, indices, num_latents)
    # One value after another, on a CPU, so that the bits do not depend on the threads.
    sums = values.new_zeros(num_latents)
    return sums.index_add_(0, indices.clamp(min=0).flatten(), values.flatten())


def sum_in_order(values: Tensor, indices: Tensor, num_latents: int) -> Tensor:
    """As `sum_by_latent`, by the sums that `latent_grads` makes for matrices of one column."""
    ones = values.new_ones(len(values), 1)
    return latent_grads(values, values, indices, ones, ones, num_latents).db_enc


def dot_rows(weight: Tensor, vector: Tensor) -> Tensor:
    """Return weight @ vector for ``weight`` (L, D), ``vector`` (D,): (L,).

    Unlike a BLAS library's, the result's bits do not depend on where in memory ``weight`` lies,
    which differs between a seed trained alone and one trained in a stack.
    """
    only = torch.zeros((weight.shape[0], 1), dtype=torch.int64, device=weight.device)  # (L, 1)
    return gather_dot(weight, only, vector.unsqueeze(0)).squeeze(1)


def weighted_sum(factors: Tensor, weight: Tensor) -> Tensor:
    """Return factors @ weight for ``factors`` (L,), ``weight`` (L, D) finite: (D,).

    See `dot_rows`.
    """
    padding = (0, -len(weight) % LATENTS_OF_SUM)
    every = torch.arange(len(weight), device=weight.device)
    every = every.where(factors != 0, -1)  # many a row need not be read
    rows = pad(every, padding, value=-1).view(-1, LATENTS_OF_SUM)
    return sparse_decode(pad(factors, padding).view(rows.shape), rows, weight).sum(dim=0)


def remove_parallel(gradient: Tensor, rows: Tensor, radial: Tensor) -> None:
    """Remove from each row of ``gradient`` (L, D) its part along the unit row of ``rows`` (L, D).

    That part would only change the row's norm, which is reset to 1 after the step. Its size is
    ``radial`` (L,): since W_dec[l]'s gradient is sum v_nl g_n and dv_nl = <g_n, W_dec[l]>, their
    product is sum v_nl dv_nl, which costs no pass over the (L, D) matrices.
    """
    gradient.addcmul_(radial.unsqueeze(1), rows, value=-1)
