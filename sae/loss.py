"""The fraction of variance unexplained (FVU), the loss of section 2.1 of arXiv 2501.16615."""

import torch
from torch import Tensor


def total_variance(x: Tensor) -> Tensor:
    """Return sum ||x_n - mean(x)||^2 over the rows of ``x`` (N, D), a scalar.

    It is summed in float32, or float64 for float64 input.
    """
    x = _accumulable(x)
    return squared_norm(x - x.mean(dim=0))


def fvu(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return sum ||x_n - reconstruction_n||^2 / sum ||x_n - mean(x)||^2, a scalar.

    Args:
        x: (N, D), any floating-point dtype.
        reconstruction: (N, D).

    Returns:
        0 for a perfect reconstruction, 1 for that of the mean, in float32 (float64 for float64
        input). Where all rows of ``x`` are equal there is no variance: the result is then inf, or
        nan if the reconstruction is perfect.
    """
    return squared_norm(_accumulable(reconstruction) - _accumulable(x)) / total_variance(x)


def squared_norm(rows: Tensor) -> Tensor:
    """Return the sum of the squares of all elements of ``rows`` (N, D), a scalar."""
    # Rows first: a sum over everything at once is split among the threads, and its bits with it.
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)  # (N,)
    return norms.square().sum()


def _accumulable(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
