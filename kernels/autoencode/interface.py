"""What reference.py, native.py and triton.py each provide: the TopK autoencoder.

The function takes the arguments of its op as one tuple. api.py has checked them. In the comments N
counts rows, D numbers in a row, and L latents.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor


class AutoencodeInputs(NamedTuple):
    """The arguments of `topk_autoencode`."""

    x: Tensor  # (N, D)
    W_enc: Tensor  # (L, D)
    b_enc: Tensor | None  # (L,)
    packed: Sequence[Tensor]  # what `pack` prepared from W_enc, or nothing
    W_dec: Tensor  # (L, D)
    b_dec: Tensor | None  # (D,)
    k: int


Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""The five tensors of `Autoencoded` in their order, then the two numbers of its stats."""


class Autoencoder(Protocol):
    """The function of one implementation; api.py says what it computes."""

    def topk_autoencode(self, inputs: AutoencodeInputs, /) -> Parts:
        """Encode and decode rows."""
