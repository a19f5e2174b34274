"""The TopK sparse autoencoder of section 2.1 of arXiv 2501.16615."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..kernels.decode import sparse_decode
from ..kernels.topk import TopK, linear_topk
from .config import SAEConfig
from .loss import fvu


class SAEOutput(NamedTuple):
    """What an SAE makes of activations (..., D)."""

    reconstruction: Tensor
    """(..., D), in the SAE's dtype."""
    values: Tensor
    """(..., k), the active latents' values, descending; 0 where fewer than k are positive."""
    indices: Tensor
    """(..., k) int64, the active latents; -1 where fewer than k are positive."""
    fvu: Tensor
    """Scalar, fraction of variance unexplained over all rows."""


class SAE(nn.Module):
    """x^ = W_dec^T TopK(relu(W_enc (x - b_dec) + b_enc)) + b_dec.

    Its parameters have sparsify's names: ``encoder.weight`` (L, D), ``encoder.bias`` (L,),
    ``W_dec`` (L, D), ``b_dec`` (D,).

    Args:
        config: the SAE's shape.
        seed: the encoder starts as ``nn.Linear`` would after ``torch.manual_seed(seed)``, without
            touching torch's global generator; None draws from the global one. The decoder starts
            as a copy of the encoder (rows at unit norm if ``config.normalize_decoder``), the biases
            at 0.
        dtype: of the parameters; the numbers are drawn in float32 whatever it is.
    """

    def __init__(
        self, config: SAEConfig, *, seed: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.config = config
        weight = torch.empty(config.num_latents, config.d_in)  # (L, D)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        # a=sqrt(5) is nn.Linear's own choice: uniform within 1 / sqrt(D).
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        self.encoder = nn.Linear(config.d_in, config.num_latents, device="meta")  # drawn above
        self.encoder.weight = nn.Parameter(weight.to(dtype))
        self.encoder.bias = nn.Parameter(torch.zeros(config.num_latents, dtype=dtype))
        self.W_dec = nn.Parameter(weight.to(dtype, copy=True))
        self.b_dec = nn.Parameter(torch.zeros(config.d_in, dtype=dtype))
        if config.normalize_decoder:
            self.normalize_decoder()

    def encode(self, x: Tensor) -> TopK:
        """Return the active latents of activations ``x`` (..., D).

        ``x`` is converted to the SAE's dtype. The result's values and indices are (..., k); see
        `SAEOutput`.

        Raises:
            ValueError: the last dimension of ``x`` is not d_in.
        """
        rows = self._rows(x)
        bias = self.encoder.bias - self.encoder.weight @ self.b_dec
        top = linear_topk(rows, self.encoder.weight, bias, self.config.k)
        shape = (*x.shape[:-1], self.config.k)
        return top._replace(values=top.values.reshape(shape), indices=top.indices.reshape(shape))

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return the reconstruction (..., D) of latents ``values``, ``indices`` (..., k)."""
        k = values.shape[-1]
        rows = sparse_decode(values.reshape(-1, k), indices.reshape(-1, k), self.W_dec, self.b_dec)
        return rows.reshape(*values.shape[:-1], self.config.d_in)

    def forward(self, x: Tensor) -> SAEOutput:
        """Encode and decode activations ``x`` (..., D); see `SAEOutput`."""
        top = self.encode(x)
        reconstruction = self.decode(top.values, top.indices)
        loss = fvu(self._rows(x), self._rows(reconstruction))
        return SAEOutput(reconstruction, top.values, top.indices, loss)

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Scale every row of ``W_dec`` to unit norm; zero rows stay zero."""
        norm = torch.linalg.vector_norm(self.W_dec, dim=1, keepdim=True)  # (L, 1)
        self.W_dec.div_(norm.clamp_min_(torch.finfo(norm.dtype).tiny))

    def _rows(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.config.d_in:
            raise ValueError(f"x must be (..., {self.config.d_in}), got {tuple(x.shape)}")
        return x.reshape(-1, self.config.d_in).to(self.W_dec.dtype)  # (N, D)
