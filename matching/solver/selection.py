"""Some rows of a dictionary: those that take part in the scans."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import extension as _native
from ..rows import StoredRows

Indices = NDArray[np.int32] | NDArray[np.int64]

_UNIT_ROUNDING = 2.0**-24  # of float32
_EDGES_AT_ONCE = 2**14


@dataclass(frozen=True)
class Selection:
    """Rows ``index`` of a dictionary, numbered anew from 0."""

    stored: StoredRows
    index: Tensor
    """(n,) int64, on the rows' device."""

    def __len__(self) -> int:
        """Return n."""
        return len(self.index)

    @property
    def signs(self) -> tuple[int, ...]:
        """What the rows are multiplied by in turn, so that scans find all large cosines."""
        return (1, -1) if self.stored.absolute else (1,)

    def unit(self, rows: NDArray[np.int64], sign: int = 1) -> Tensor:
        """Return rows of the selection at length 1, (len(rows), D) float32, on their device.

        Args:
            rows: which.
            sign: 1, or -1 for their negatives.
        """
        unit = self.stored.unit(self.index[self.place(rows)])
        return unit if sign == 1 else unit.neg_()

    def place(self, values: NDArray) -> Tensor:
        """Return an array as a tensor on the rows' device."""
        return torch.from_numpy(values).to(self.index.device)


def whole(stored: StoredRows) -> Selection:
    """Return all rows of a dictionary."""
    return Selection(stored, torch.arange(stored.num_latents, device=stored.matrix.device))


def scan_error(d_in: int) -> float:
    """Return how far a score of `Selection.unit` rows may be from their cosine.

    A float32 dot product of D terms, added in any order, is within g |x| |y| of the exact one,
    g = D r / (1 - D r), r = 2^-24 (Higham, "Accuracy and Stability of Numerical Algorithms", SIAM,
    section 3.1); rounding the two rows to float32 adds 2 r. Rows are longer than 1 by at most r,
    which four more r cover, with float64's own rounding and underflow.
    """
    terms = (d_in + 6) * _UNIT_ROUNDING
    return terms / (1 - terms) if terms < 0.5 else math.inf


def edge_cosines(a: Selection, b: Selection, rows: Indices, cols: Indices) -> NDArray[np.float64]:
    """Return the cosines of pairs, in float64 from the stored values: (E,).

    They are absolute values if those of ``a`` count.

    Args:
        a: n_A rows.
        b: n_B rows of the same width.
        rows: (E,) rows of ``a``; pairs of one row should follow each other.
        cols: (E,) rows of ``b``.
    """
    if not (a.stored.for_native and b.stored.for_native):
        return edge_cosines_by_torch(a, b, rows, cols)
    out = np.empty(len(rows))
    names = [side.index.numpy().astype(np.int32) for side in (a, b)]
    matrices = *a.stored.as_native(), *b.stored.as_native()
    threads = torch.get_num_threads()
    _native.edge_cosines(*matrices, names[0][rows], names[1][cols], threads, out)
    return np.abs(out, out=out) if a.stored.absolute else out


def edge_cosines_by_torch(
    a: Selection, b: Selection, rows: Indices, cols: Indices
) -> NDArray[np.float64]:
    """As `edge_cosines`, on any device: only the result comes to the host."""
    out = np.empty(len(rows))
    for start in range(0, len(rows), _EDGES_AT_ONCE):
        part = slice(start, start + _EDGES_AT_ONCE)
        left, right = _scaled(a, rows[part]), _scaled(b, cols[part])
        product = (left * right.to(left.device)).sum(1)
        out[part] = product.cpu().numpy()
    return np.abs(out, out=out) if a.stored.absolute else out


def _scaled(side: Selection, rows: Indices) -> Tensor:
    """Return rows of length 1 in float64."""
    return side.stored.unit_wide(
        side.index[torch.from_numpy(rows).to(side.index.device, torch.int64)]
    )
