"""Encoders of several seeds in one matrix, so that one product serves them all."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...kernels.topk import linear_topk
from ..model import SAE
from .gradients import dot_rows


class EncoderStack:
    """The encoder weights of S SAEs as one (S L, D) matrix; each SAE's weight becomes a view of it.

    Updates of the SAEs' weights thus need no copying. `release` gives each SAE its own memory back.
    """

    def __init__(self, saes: Sequence[SAE]) -> None:
        self._saes = saes
        self._weight = torch.cat([sae.encoder.weight.data for sae in saes])  # (S L, D)
        blocks = self._weight.chunk(len(saes))
        for sae, block in zip(saes, blocks, strict=True):
            sae.encoder.weight.data = block

    @torch.no_grad()
    def encode(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each SAE's active latents, values and indices (N, k), of the rows ``x`` (N, D)."""
        k, groups = self._saes[0].config.k, len(self._saes)
        bias = torch.cat(
            [sae.encoder.bias - dot_rows(sae.encoder.weight, sae.b_dec) for sae in self._saes]
        )  # (S L,)
        top = linear_topk(x, self._weight, bias, k, groups=groups)
        values = top.values.reshape(len(x), groups, k)
        indices = top.indices.reshape(len(x), groups, k)
        return list(zip(values.unbind(1), indices.unbind(1), strict=True))

    def release(self) -> None:
        """Make the SAEs independent of the stack, and of one another, again."""
        for sae in self._saes:
            sae.encoder.weight.data = sae.encoder.weight.data.clone()
