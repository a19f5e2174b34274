"""Encoder and decoder of a TopK SAE as plain modules."""

import torch
from torch import Tensor, nn

from .functional import Active, decode, encode


class TopKEncoder(nn.Linear):
    """A linear layer and its k largest positive outputs: ``nn.Linear``, relu and topk in one.

    Its parameters, ``weight`` (L, D) and ``bias`` (L,), and their start are those of ``nn.Linear``.

    Args:
        d_in: D.
        num_latents: L.
        k: active latents per token.
        bias: whether there is one.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        d_in: int,
        num_latents: int,
        k: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(d_in, num_latents, bias, device, dtype)
        self.k = k

    def forward(self, x: Tensor) -> Active:  # type: ignore[override]
        """Return the active latents of ``x`` (..., D); see `encode`."""
        return encode(x, self.weight, self.bias, self.k)


class SparseDecoder(nn.Module):
    """The sum of the active latents' directions: ``weight`` (L, D), ``bias`` (D,).

    Unlike ``nn.Linear(L, D)``, whose weight is (D, L), it has a latent's numbers side by side.

    Args:
        num_latents: L.
        d_in: D.
        bias: whether there is one; it starts at 0.
        device: of the parameters.
        dtype: of the parameters.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        num_latents: int,
        d_in: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        weight = torch.randn(num_latents, d_in, device=device, dtype=dtype)
        self.weight = nn.Parameter(nn.functional.normalize(weight))
        empty = torch.zeros(d_in, device=device, dtype=dtype)
        self.register_parameter("bias", nn.Parameter(empty) if bias else None)

    def forward(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return the reconstruction (..., D); see `decode`."""
        return decode(values, indices, self.weight, self.bias)
