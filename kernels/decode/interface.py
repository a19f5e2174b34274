"""What reference.py, native.py and triton.py each provide: one function for each sparse product.

A function takes the arguments of its op as one tuple. api.py has checked them, except the values of
indices and row offsets. In the comments N counts rows, k the places of a row, L latents, and D
numbers in a row. With row_offsets (N + 1,) int64, rows have different numbers of places: the shape
(N, k) then stands for (P,), and row n has the places row_offsets[n] to row_offsets[n + 1] - 1.
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class SparseDecodeInputs(NamedTuple):
    """The arguments of `sparse_decode`."""

    values: Tensor  # (N, k)
    indices: Tensor  # (N, k) int64, -1 for no latent
    weight: Tensor  # (L, D)
    bias: Tensor | None  # (D,)
    row_offsets: Tensor | None = None


class GatherDotInputs(NamedTuple):
    """The arguments of `gather_dot`."""

    rows: Tensor  # (N, D)
    indices: Tensor  # (N, k) int64, -1 for no latent
    weight: Tensor  # (L, D)
    row_offsets: Tensor | None = None


class DecodeErrorInputs(NamedTuple):
    """The arguments of `decode_error`."""

    values: Tensor  # (N, k)
    indices: Tensor  # (N, k) int64, -1 for no latent
    weight: Tensor  # (L, D)
    bias: Tensor | None  # (D,)
    target: Tensor  # (N, D)
    scale: Tensor  # () float32, or float64 for float64
    row_offsets: Tensor | None = None


class SparseProducts(Protocol):
    """The functions of one implementation; api.py says what each computes."""

    def sparse_decode(self, inputs: SparseDecodeInputs, /) -> Tensor:
        """Return the reconstruction, (N, D)."""

    def gather_dot(self, inputs: GatherDotInputs, /) -> Tensor:
        """Return the products of rows and their latents, (N, k)."""

    def decode_error(self, inputs: DecodeErrorInputs, /) -> tuple[Tensor, Tensor, Tensor]:
        """Return the squares (N,), g (N, D) and d_values (N, k) of `DecodedError`."""
