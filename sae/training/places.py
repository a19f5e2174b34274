"""The scores of a batch that matter, either listed one by one or as a dense block of rows.

The mathematics of an architecture is written once, element by element, and serves both: where few
latents are active, their places are listed and nothing of size (tokens, latents) exists; where many
are, as when a ReLU SAE begins, plain products of a few rows at a time are faster.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.decode import DecodedError, decode_error
from ...kernels.grads import latent_grads


class Listed(NamedTuple):
    """Places (n, l) of a batch, listed: N tokens, L latents, P places.

    A tensor "of places" has one number for each, in the shape of ``indices``.
    """

    indices: Tensor
    """(P,) int64, the latents; or (N, k), -1 where there is none."""
    row_offsets: Tensor | None
    """(N + 1,) int64, where each token's places begin; or None."""
    num_latents: int

    def per_latent(self, vector: Tensor) -> Tensor:
        """Return the number of each place's latent, of ``vector`` (L,), to combine with places."""
        return vector[self.indices]

    def per_token(self, vector: Tensor) -> Tensor:
        """Return the number of each place's token, of ``vector`` (N,), to combine with places."""
        return vector.repeat_interleave(self._offsets.diff(), output_size=len(self.indices))

    def by_latent(self, values: Tensor) -> Tensor:
        """Return the sum (L,) of a tensor of places over the tokens."""
        return sum_by_latent(values, self.indices, self.num_latents)

    def by_token(self, values: Tensor) -> Tensor:
        """Return the sum (N,) of a tensor of places over the latents."""
        return torch.segment_reduce(values, "sum", offsets=self._offsets, initial=0)

    def firings(self, active: Tensor) -> Tensor:
        """Return the number (L,) int64 of the tokens on which a bool of places is True."""
        counts = torch.zeros(self.num_latents, dtype=torch.int64, device=active.device)
        return counts.index_add_(0, self.indices.clamp(min=0).flatten(), active.long().flatten())

    def error(
        self, values: Tensor, weight: Tensor, bias: Tensor, target: Tensor, scale: Tensor
    ) -> DecodedError:
        """Return what `decode_error` does of ``values``, which are of places and 0 elsewhere."""
        return decode_error(
            values, self.indices, weight, bias, target, scale, row_offsets=self.row_offsets
        )

    @property
    def _offsets(self) -> Tensor:
        assert self.row_offsets is not None
        return self.row_offsets


class Block(NamedTuple):
    """All places of some rows: a tensor of places is (N, L)."""

    num_latents: int

    def per_latent(self, vector: Tensor) -> Tensor:
        """See `Listed`."""
        return vector

    def per_token(self, vector: Tensor) -> Tensor:
        """See `Listed`."""
        return vector[:, None]

    def by_latent(self, values: Tensor) -> Tensor:
        """See `Listed`."""
        return values.sum(dim=0)

    def by_token(self, values: Tensor) -> Tensor:
        """See `Listed`."""
        return values.sum(dim=1)

    def firings(self, active: Tensor) -> Tensor:
        """See `Listed`."""
        return active.sum(dim=0)

    def error(
        self, values: Tensor, weight: Tensor, bias: Tensor, target: Tensor, scale: Tensor
    ) -> DecodedError:
        """See `Listed`."""
        error = torch.addmm(bias - target, values, weight)
        g = scale.to(error.dtype) * error
        return DecodedError(error.square().sum(dim=1), g, g @ weight.T)


Places = Listed | Block


def sum_by_latent(values: Tensor, indices: Tensor, num_latents: int) -> Tensor:
    """Return each latent's sum (L,) of ``values``, of places; an index may be -1 where one is 0."""
    if values.is_cuda:  # there index_add_ adds in any order
        return sum_in_order(values, indices, num_latents)
    # One value after another, on a CPU, so that the bits do not depend on the threads.
    sums = values.new_zeros(num_latents)
    return sums.index_add_(0, indices.clamp(min=0).flatten(), values.flatten())


def sum_in_order(values: Tensor, indices: Tensor, num_latents: int) -> Tensor:
    """As `sum_by_latent`, by the sums that `latent_grads` makes for matrices of one column."""
    values, indices = values.reshape(-1, 1), indices.reshape(-1, 1)
    ones = values.new_ones(len(values), 1)
    return latent_grads(values, values, indices, ones, ones, num_latents).db_enc
