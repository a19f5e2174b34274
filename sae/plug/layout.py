"""How the kernels want weights to lie in memory."""

from torch import Tensor


def latent_major(weight: Tensor) -> Tensor:
    """Return a (D, L) matrix with the same numbers, those of a latent side by side in memory."""
    return weight.T.contiguous().T
