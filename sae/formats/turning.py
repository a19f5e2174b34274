"""Matrices that are stored with one latent a column, turned to one latent a row."""

from torch import Tensor

from ...common.blocks import slices
from ...common.scratch import scratch_tensor

_ROWS = 2**20  # bytes of the result that are written together, for each byte of an element


def turned(matrix: Tensor) -> Tensor:
    """Return the transpose of a matrix with its rows one after another.

    A small one is in memory, a large one in a temporary file, so that a mapped matrix stays on the
    disk. Anything else than a matrix is returned as it is: checks of shapes refuse it.

    Raises:
        OSError: the disk has no room for it.
    """
    if matrix.ndim != 2:
        return matrix
    columns, rows = matrix.shape
    out = scratch_tensor((rows, columns), matrix.dtype)
    for block in slices(rows, max(1, _ROWS // max(columns, 1))):
        out[block] = matrix[:, block].T
    return out
