"""Sparse codes as lists of the activations that are not 0."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class ActiveCodes(NamedTuple):
    """The activations that are not 0, by ascending token."""

    token: NDArray[np.int64]
    """(n,): the row of the batch."""
    latent: NDArray[np.int64]
    """(n,)"""
    value: NDArray[np.float64]
    """(n,)"""


def active_codes(values: Tensor, indices: Tensor, first_token: int) -> ActiveCodes:
    """Return the activations of tokens that are not 0.

    Args:
        values: (N, k), the values of the active latents; 0 in missing places.
        indices: (N, k) int64, which latents these are; below 0 in missing places.
        first_token: the number of the first token, for the message.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    wrong = (~values.isfinite() & (indices >= 0)).nonzero()
    if len(wrong):
        token, place = wrong[0].tolist()
        raise ValueError(
            f"the value of latent {int(indices[token, place]):,} on token "
            f"{first_token + token:,} is NaN or infinite"
        )
    active = (values != 0) & (indices >= 0)
    found = values[active].detach().double().cpu()
    token = active.nonzero()[:, 0].cpu()
    return ActiveCodes(token.numpy(), indices[active].cpu().numpy(), found.numpy())
