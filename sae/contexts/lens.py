"""The logit lens: which tokens a latent's direction promotes and suppresses."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...kernels.topk import linear_topk

LISTED = 10
"""How many tokens are listed of either kind."""


class LogitLens(NamedTuple):
    """What each of L directions does to a model's logits; m is 10, or the vocabulary's size."""

    top_tokens: NDArray[np.int32]
    """(L, m): the tokens of the largest logits, descending."""
    top_logits: NDArray[np.float32]
    """(L, m)"""
    bottom_tokens: NDArray[np.int32]
    """(L, m): the tokens of the smallest logits, ascending."""
    bottom_logits: NDArray[np.float32]
    """(L, m)"""


def logit_lens(directions: Tensor, unembedding: Tensor) -> LogitLens:
    """Return the tokens that directions promote and suppress most.

    Args:
        directions: (L, D) float32, such as the rows of a decoder.
        unembedding: (V, D) float32, such as of `unembedding_of`.
    """
    found: list[NDArray[Any]] = []
    for sign in (1, -1):
        listed = min(LISTED, len(unembedding))
        best = linear_topk(sign * directions, unembedding, None, listed, floor=-math.inf)
        found += [best.indices.int().cpu().numpy(), (sign * best.values).cpu().numpy()]
    return LogitLens(*found)


def unembedding_of(model: Any) -> Tensor | None:
    """Return the matrix (V, D), float32, that makes logits of what the last layer gives.

    It is the unembedding, each column multiplied by the weight of the final norm; where that norm
    subtracts the mean, so does the matrix. The norm's division by the length is left out: it is the
    same for all tokens.

    Args:
        model: of transformers.

    Returns:
        None for a model without an unembedding, such as an encoder.
    """
    head = model.get_output_embeddings()
    if head is None:
        return None
    matrix: Tensor = head.weight.detach().float()
    norm = _final_norm(model.base_model, matrix.shape[1])
    if norm is None:
        return matrix
    matrix = matrix * _gain(norm, matrix)
    return matrix - matrix.mean(dim=1, keepdim=True) if isinstance(norm, nn.LayerNorm) else matrix


def _final_norm(base: nn.Module, width: int) -> nn.Module | None:
    """Return the last norm outside of the layers that has a weight of this width."""
    norms = [
        module
        for name, module in base.named_modules()
        if "norm" in type(module).__name__.lower()
        and not any(part.isdigit() for part in name.split("."))
        and getattr(module, "weight", torch.empty(0)).shape == (width,)
    ]
    return norms[-1] if norms else None


def _gain(norm: nn.Module, matrix: Tensor) -> Tensor:
    """Return what a norm multiplies each coordinate by, (D,).

    It is measured, because in some models the weight is 1 more than the stored one: an input of
    alternating 1 and -1 has mean 0 and length sqrt(D), so that the norm leaves it as it is, and
    the difference to its negative is free of a bias.
    """
    signs = torch.ones(matrix.shape[1], device=matrix.device)
    signs[1::2] = -1
    with torch.no_grad():
        given = norm.float()
        gain: Tensor = (given(signs) - given(-signs)) / (2 * signs)
    return gain
