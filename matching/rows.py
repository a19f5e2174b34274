"""The stored rows of a dictionary, validated once and read in blocks."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common.blocks import slices
from . import extension as _native

Matrix = NDArray[np.floating] | Tensor
"""A dictionary (L, D): a torch tensor or a numpy array, memory-mapped or not."""

_TORCH_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NUMPY_DTYPES = ("float16", "float32", "float64")
_BLOCK_ELEMENTS = 2**22  # 32 MiB in float64
_BLOCK_ROWS = 2048
_CACHED_ELEMENTS = 2**18  # of a block that several operations pass over
_LARGEST_EXPONENT = 1022


class StoredRows:
    """A dictionary's rows as they are stored, and their lengths; converted a block at a time.

    Args:
        matrix: (L, D) float16, bfloat16, float32 or float64, of any layout and device. It is not
            copied where its rows lie one after another.
        name: what error messages call it.
        absolute: whether cosines with these rows count by their absolute values; so must those of
            the other side, then.

    Raises:
        TypeError: ``matrix`` is neither a tensor nor an array, or not of one of these dtypes.
        ValueError: it is not 2-D, is empty, is on an MPS device, or holds NaN or an infinity.
    """

    scale: Tensor
    """(L,) float64: powers of two that bring each row's largest entry near 1, so that no square
    overflows or underflows; 1 for zero rows."""
    norm: Tensor
    """(L,) float64: Euclidean lengths of the scaled rows; 0 for zero rows."""

    def __init__(self, matrix: Matrix, name: str, absolute: bool = False) -> None:
        _check_kind(matrix, name)
        if not matrix.shape[0] or not matrix.shape[1]:
            raise ValueError(f"{name} is empty: its shape is {tuple(matrix.shape)}")
        self.name, self.absolute = name, absolute
        self.matrix = _as_tensor(matrix)
        self.num_latents, self.d_in = (int(size) for size in matrix.shape)
        self.scale = torch.empty(self.num_latents, dtype=torch.float64, device=self.matrix.device)
        self.norm = torch.empty_like(self.scale)
        row = self._measure()
        if row >= 0:
            raise ValueError(f"{self.name} holds NaN or an infinity in row {row:,}")

    def live(self) -> Tensor:
        """Return the rows that are not zero, (n,) int64, on the rows' device."""
        return torch.nonzero(self.norm).ravel()

    def blocks(self) -> Iterator[slice]:
        """Cut the rows into consecutive slices, each small enough to be held in float64."""
        return slices(self.num_latents, block_rows(self.d_in))

    def read(self, block: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return some rows as stored, in float64: exact for every dtype allowed.

        Args:
            block: which rows, a slice or (n,) indices.

        Returns:
            (n, D). It may share memory with the input; do not write to it.
        """
        part = self.matrix[block if isinstance(block, slice) else torch.tensor(block)]
        return part.to("cpu", torch.float64).numpy()

    def unit(self, rows: Tensor) -> Tensor:
        """Return some rows at length 1, or 0 for zero rows: float64, rounded to float32.

        Args:
            rows: (n,) int64 indices, on the rows' device.

        Returns:
            (n, D) float32, on the same device.
        """
        out = torch.empty((len(rows), self.d_in), device=self.matrix.device)
        if not self.for_native:
            for block in self._cached_blocks(len(rows)):
                out[block] = self.unit_wide(rows[block])
            return out
        _native.unit_rows(*self.as_native(), rows.numpy(), torch.get_num_threads(), out.numpy())
        return out

    @property
    def for_native(self) -> bool:
        """Whether C++ reads the rows: it is there, and they are in the host's memory."""
        return _native.MISSING is None and self.matrix.device.type == "cpu"

    def as_native(
        self,
    ) -> tuple[NDArray[Any], str, NDArray[np.float64], NDArray[np.float64]]:
        """Return what C++ takes: the rows, or their bits where numpy has no such type."""
        dtype = str(self.matrix.dtype).removeprefix("torch.")
        matrix = self.matrix.view(torch.uint16) if self.matrix.element_size() == 2 else self.matrix
        return matrix.numpy(), dtype, self.scale.numpy(), self.norm.numpy()

    def unit_wide(self, rows: Tensor) -> Tensor:
        """As `unit`, in float64, which must fit memory."""
        # float64 by promotion: a converted copy of float64 rows would be the rows themselves.
        scaled = self.matrix[rows] * self.scale[rows, None]
        return scaled.div_(self.norm[rows, None].clamp(min=math.ulp(0.0)))

    def _cached_blocks(self, rows: int) -> Iterator[slice]:
        return slices(rows, max(1, _CACHED_ELEMENTS // self.d_in))

    def _measure(self) -> int:
        """Set ``scale`` and ``norm``, and return the first row that is not finite, or -1."""
        if self.for_native:
            first: int = _native.measure_rows(*self.as_native(), torch.get_num_threads())
            return first
        for block in self._cached_blocks(self.num_latents):
            rows = self.matrix[block]
            largest = rows.abs().amax(1).to(torch.float64)
            finite = largest.isfinite()
            if not finite.all():
                return int(block.start + finite.to(torch.uint8).argmin())
            _, exponent = np.frexp(largest.cpu().numpy())
            scale = np.ldexp(1.0, -exponent.clip(-_LARGEST_EXPONENT, _LARGEST_EXPONENT))
            self.scale[block] = torch.from_numpy(scale)
            self.norm[block] = torch.linalg.vector_norm(rows * self.scale[block, None], dim=1)
        return -1


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


def check_double(name: str, device: torch.device) -> None:
    """Raise ValueError if there is no float64, in which all cosines are, on the rows' device."""
    if device.type == "mps":
        raise ValueError(
            f"{name} must be on a device that has float64, not on {device}: use .cpu()"
        )


def _as_tensor(matrix: Matrix) -> Tensor:
    """Return the matrix as a tensor of contiguous rows; it shares memory where it can."""
    if isinstance(matrix, Tensor):
        return matrix.detach().contiguous()
    with warnings.catch_warnings():  # an array that is mapped read-only stays unwritten here
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(matrix))


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
    check_double(name, torch.device("cpu") if isinstance(matrix, np.ndarray) else matrix.device)
    if matrix.ndim != 2:
        raise ValueError(
            f"{name} must be 2-D (num_latents, d_in), not of shape {tuple(matrix.shape)}"
        )
