"""Our kernels, each called on a problem; `JOBS` has them by the names of the jobs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...kernels.autoencode import Autoencoded, topk_autoencode
from ...kernels.backends import Backend
from ...kernels.decode import DecodedError, csr_decode, decode_error, gather_dot, sparse_decode
from ...kernels.grads import LatentGrads, latent_grads
from ...kernels.topk import (
    CSR,
    MutualTopK,
    Pairs,
    TopK,
    linear_above,
    linear_topk,
    mutual_topk,
    pairs_above,
)
from ..problem import Problem
from .torch_ways import squared_length

PRICE = 3.5  # of a pair and of a latent, where scores have standard deviation 1
CAPACITY = 1 << 20  # pairs


def encode(p: Problem, backend: Backend) -> TopK:
    """Find the k best latents of each row."""
    return linear_topk(p.x, p.W_enc, p.b_enc, p.k, backend=backend)


def above(p: Problem, backend: Backend) -> CSR:
    """List the scores above a threshold that few reach."""
    return linear_above(p.x, p.W_enc, p.b_enc, PRICE, backend=backend)


def decode(p: Problem, backend: Backend) -> list[Tensor]:
    """Decode the active latents."""
    return [sparse_decode(p.values, p.indices, p.W_dec, p.b_dec, backend=backend)]


def dot(p: Problem, backend: Backend) -> list[Tensor]:
    """Multiply g with the decoder's rows of the active latents."""
    return [gather_dot(p.g, p.indices, p.W_dec, backend=backend)]


def error(p: Problem, backend: Backend) -> DecodedError:
    """Decode, and compare with x."""
    one = torch.ones((), device=p.x.device)
    return decode_error(p.values, p.indices, p.W_dec, p.b_dec, p.x, one, backend=backend)


def grads(p: Problem, backend: Backend) -> LatentGrads:
    """Sum the gradients of both matrices."""
    latents = len(p.W_dec)
    return latent_grads(p.values, p.d_values, p.indices, p.x, p.g, latents, backend=backend)


def compressed(p: Problem, backend: Backend) -> list[Tensor]:
    """Decode, multiply and sum, with the same active latents as compressed rows."""
    offsets = torch.arange(0, p.indices.numel() + 1, p.k, device=p.x.device)  # (N + 1,)
    values, d_values, indices = (t.flatten() for t in (p.values, p.d_values, p.indices))
    recon = csr_decode(offsets, indices, values, p.W_dec, p.b_dec, backend=backend)
    dots = gather_dot(p.g, indices, p.W_dec, row_offsets=offsets, backend=backend)
    sums = latent_grads(
        values, d_values, indices, p.x, p.g, len(p.W_dec), row_offsets=offsets, backend=backend
    )
    return [recon, dots.view(p.indices.shape), sums.dW_dec, sums.dW_enc]


def autoencode(p: Problem, backend: Backend) -> Autoencoded:
    """Encode and decode in one call."""
    return topk_autoencode(p.x, p.W_enc, p.b_enc, p.W_dec, p.b_dec, p.k, backend=backend)


def step(p: Problem, backend: Backend) -> list[Tensor]:
    """Return the squared error over `squared_length`, and the gradients of both matrices."""
    size = squared_length(p.x)
    found = p.encoded(*encode(p, backend)[:2])
    squares, g, d_values = decode_error(
        found.values, found.indices, p.W_dec, p.b_dec, p.x, 2 / size, backend=backend
    )
    sums = latent_grads(
        found.values, d_values, found.indices, p.x, g, len(p.W_dec), backend=backend
    )
    return [squares.sum() / size, sums.dW_dec, sums.dW_enc]


def mutual(p: Problem, backend: Backend) -> MutualTopK:
    """Find the best partners of the rows of x and of the latents."""
    return mutual_topk(p.x, p.W_enc, min(p.k, len(p.x)), backend=backend)


def pairs(p: Problem, backend: Backend) -> Pairs:
    """List the pairs of rows and latents above a price that few reach."""
    row_price = torch.full((len(p.x),), PRICE, dtype=torch.float64, device=p.x.device)
    col_price = torch.zeros(len(p.W_enc), dtype=torch.float64, device=p.x.device)
    return pairs_above(
        p.x, p.W_enc, row_price, col_price, margin=0.0, capacity=CAPACITY, backend=backend
    )


JOBS: dict[str, Callable[[Problem, Backend], Any]] = {
    "encode": encode,
    "above": above,
    "decode": decode,
    "dot": dot,
    "error": error,
    "grads": grads,
    "compressed": compressed,
    "autoencode": autoencode,
    "step": step,
    "mutual": mutual,
    "pairs": pairs,
}
