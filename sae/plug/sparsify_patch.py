"""EleutherAI/sparsify with our kernels: its encoder and decoder functions are replaced."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .functional import Active, decode, encode, encode_groups
from .lazy_scores import LazyScores
from .patch import Patch, Swap, check_version


def _prepare() -> list[Swap]:
    check_version("eai-sparsify", "1.3")
    # Both were imported there by value: replacing them where they are defined has no effect.
    coder = import_module("sparsify.sparse_coder")
    output = coder.EncoderOutput

    def fused_encoder(
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        k: int,
        activation: str,
    ) -> Any:
        """Return (top_acts (N, k), top_indices (N, k), pre_acts (N, L)) as sparsify's does."""
        scores = _Scores(x, weight, bias)
        top = scores.choose(k, activation)
        lazy = LazyScores(top.values, weight.shape[0], scores.all, scores.largest)
        return output(top.values, top.indices, lazy)

    return [
        Swap(vars(coder), "fused_encoder", fused_encoder),
        Swap(vars(coder), "decoder_impl", decoder_impl),
    ]


def decoder_impl(top_indices: Tensor, top_acts: Tensor, W_dec: Tensor) -> Tensor:
    """Return the sum of the active latents' columns of ``W_dec`` (D, L), a transposed parameter."""
    return decode(top_acts, top_indices, W_dec.mT)


class _Scores:
    """relu(x @ weight.T + bias), in parts or as a whole."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor) -> None:
        self._inputs = x, weight, bias

    def choose(self, k: int, activation: str) -> Active:
        """Return the k active latents."""
        if activation == "topk":
            return encode(*self._inputs, k)
        if activation == "groupmax":
            return encode_groups(*self._inputs, k)
        raise ValueError(f"activation: expected 'topk' or 'groupmax', got {activation!r}")

    def largest(self, k: int, mask: Tensor | None) -> Active:
        """Return the k largest, of the latents in ``mask`` (L,)."""
        return encode(*self._inputs, k, mask=mask)

    def all(self) -> Tensor:
        """Return the scores (N, L)."""
        return torch.relu(functional.linear(*self._inputs))


sparsify = Patch(_prepare)
"""``with plug.sparsify(): ...``, or ``plug.sparsify.enable()`` and ``plug.sparsify.disable()``.

The numbers are sparsify's within rounding, except for gradients that it gets wrong: AuxK and
Multi-TopK reach the encoder, and places without a positive score get none.
"""
