"""What reference.py, native.py and triton.py each provide: the gradients of latents.

The function takes the arguments of its op as one tuple. api.py has checked them, except the values
of indices. In the comments N counts rows, k the places of a row, and L latents; d_in and d_out are
the widths of x and g.
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class LatentGradsInputs(NamedTuple):
    """The arguments of `latent_grads`. An output that is None is not computed.

    An input may be None if no output needs it: dW_dec needs values and g, dW_enc needs d_values and
    x, and db_enc needs d_values.
    """

    indices: Tensor  # (N, k) int64, -1 for no latent
    num_latents: int  # L
    values: Tensor | None = None  # (N, k)
    d_values: Tensor | None = None  # (N, k)
    x: Tensor | None = None  # (N, d_in)
    g: Tensor | None = None  # (N, d_out)
    dW_dec: Tensor | None = None  # (L, d_out) float32, or float64 for float64; written
    dW_enc: Tensor | None = None  # (L, d_in), dW_dec's dtype; written
    db_enc: Tensor | None = None  # (L,), dW_dec's dtype; written
    fired: Tensor | None = None  # (L,) int64; written
    accumulate: bool = False  # whether to add to the outputs
    row_offsets: Tensor | None = None  # (N + 1,) int64: (N, k) is then (P,), in compressed rows


class SparseGradients(Protocol):
    """The function of one implementation; api.py says what it computes."""

    def latent_grads(self, inputs: LatentGradsInputs, /) -> None:
        """Write the outputs that are given, or add to them."""
