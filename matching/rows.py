"""The stored rows of a dictionary, validated once and read in blocks as float64."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.floating] | Tensor
"""A dictionary (L, D): a torch tensor or a numpy array, memory-mapped or not."""

_TORCH_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NUMPY_DTYPES = ("float16", "float32", "float64")
_BLOCK_ELEMENTS = 2**22  # 32 MiB in float64
_BLOCK_ROWS = 2048


class StoredRows:
    """A dictionary's rows, converted to float64 a block at a time, never as a whole.

    Args:
        matrix: (L, D) float16, bfloat16, float32 or float64, of any layout and device.
        name: what error messages call it.

    Raises:
        TypeError: ``matrix`` is neither a tensor nor an array, or not of one of these dtypes.
        ValueError: it is not 2-D, is empty, or holds NaN or an infinity.
    """

    def __init__(self, matrix: Matrix, name: str) -> None:
        _check_kind(matrix, name)
        self.name = name
        self._matrix = matrix
        self.num_latents, self.d_in = (int(size) for size in matrix.shape)
        if not matrix.shape[0] or not matrix.shape[1]:
            raise ValueError(f"{name} is empty: its shape is {tuple(matrix.shape)}")
        for block in self.blocks():
            finite = np.isfinite(self.read(block)).all(axis=1)
            if not finite.all():
                row = block.start + int(finite.argmin())
                raise ValueError(f"{name} holds NaN or an infinity in row {row:,}")

    def blocks(self) -> Iterator[slice]:
        """Cut the rows into consecutive slices, each small enough to be held in float64."""
        size = block_rows(self.d_in)
        for start in range(0, self.num_latents, size):
            yield slice(start, min(start + size, self.num_latents))

    def read(self, block: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return some rows as stored, in float64: exact for every dtype allowed.

        Args:
            block: which rows, a slice or (n,) indices.

        Returns:
            (n, D). It may share memory with the input; do not write to it.
        """
        if isinstance(self._matrix, np.ndarray):
            return np.asarray(self._matrix[block], dtype=np.float64)
        part = self._matrix[block if isinstance(block, slice) else torch.tensor(block)]
        return part.detach().to("cpu", torch.float64).numpy()


def block_rows(d_in: int) -> int:
    """Return how many rows of width ``d_in`` a block has."""
    return min(_BLOCK_ROWS, max(1, _BLOCK_ELEMENTS // d_in))


def check_widths(a: StoredRows, b: StoredRows) -> None:
    """Raise ValueError unless both have the same number of columns."""
    if a.d_in != b.d_in:
        raise ValueError(
            f"{a.name} and {b.name} must have the same d_in (columns), "
            f"not {a.d_in:,} and {b.d_in:,}"
        )


def _check_kind(matrix: Matrix, name: str) -> None:
    if not isinstance(matrix, Tensor | np.ndarray):
        raise TypeError(
            f"{name} must be a torch tensor or numpy array, not {type(matrix).__name__}"
        )
    if isinstance(matrix, Tensor):
        known = matrix.dtype in _TORCH_DTYPES
    else:
        known = matrix.dtype.name in _NUMPY_DTYPES
    if not known:
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, not {matrix.dtype}")
    if matrix.ndim != 2:
        raise ValueError(
            f"{name} must be 2-D (num_latents, d_in), not of shape {tuple(matrix.shape)}"
        )
