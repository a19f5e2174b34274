"""The linear map from one model's or layer's activations to another's, on the same tokens.

With x (D_A) and y (D_B) the two activations of a token, and rows as vectors, y is about
``x M + c``. Over the tokens that the map is learned from, with X and Y less their means:

- ``procrustes``: M = s U V^T with U S V^T the singular value decomposition of X^T Y and
  s = tr(S) / |X|^2: a rotation (or reflection) and one scale, which minimises |X M - Y|^2 over all
  such M (Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966). Where
  the widths differ, M has orthonormal rows or columns, times s, of the same formula.
- ``affine``: M = (X^T X)^+ X^T Y, least squares.

The first half of the tokens is for learning, and the second shows how much of the variance the map
explains. Only sums of products are kept, in float64: 16 D_A (D_A + D_B) bytes for both halves.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...common.blocks import slices
from ...common.progress import Progress, silent
from ...sae.activations import ActivationStore
from ...sae.activations.same_tokens import difference

Kind = Literal["procrustes", "affine"]
Array = NDArray[np.float64]

_BATCH = 4_096  # tokens


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The map y = x M + c, and how good it is."""

    kind: Kind
    matrix: Array
    """M, (D_A, D_B)."""
    constant: Array
    """c, (D_B,)."""
    rank: int
    """How many singular values of M are above rounding."""
    condition: float
    """The largest singular value of M divided by the smallest of those above rounding."""
    explained_before: float | None
    """Share of y's variance that x itself explains, on tokens that the map was not learned from:
    1 - sum |y - x|^2 / sum |y - mean y|^2. It may be negative; None where the widths differ."""
    explained: float
    """The same of x M + c."""
    tokens: int
    """How many tokens it was learned from."""

    def decoder(self, rows: Array) -> Array:
        """Map directions in x's space, (n, D_A), to y's: (n, D_B), d M."""
        return rows @ self.matrix

    def encoder(self, rows: Array) -> Array:
        """Map rows that read x, (n, D_A), to rows that read y: (n, D_B).

        With x about (y - c) M^+, e x = e (M^+)^T y and a constant, so that the rows become
        e (M^+)^T: by the inverse transpose, or its pseudo-inverse.
        """
        return rows @ self._inverse_transpose

    @cached_property
    def _inverse_transpose(self) -> Array:
        inverse = np.linalg.pinv(self.matrix, rcond=_tolerance(self.matrix))
        return np.asarray(inverse.T, dtype=np.float64)


def learn_map(
    a: ActivationStore, b: ActivationStore, kind: Kind, *, progress: Progress | None = None
) -> LinearMap:
    """Learn the map from the activations of ``a`` to those of ``b``.

    Args:
        a: (N, D_A), 4 tokens or more.
        b: (N, D_B), of the same tokens in the same order.
        kind: see above.
        progress: told of the phase "map", in tokens.

    Returns:
        The map.

    Raises:
        ValueError: the two are not of the same tokens, are too few, or ``kind`` is not as above; a
            shard is damaged; an activation is NaN or infinite.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"map: expected one of {', '.join(get_args(Kind))}, got {kind!r}")
    if (told := difference(a, b)) is not None:
        raise ValueError(f"no map can be learned from {a.path} and {b.path}: {told}")
    if a.rows < 4:
        raise ValueError(f"a map needs 4 tokens or more, got {a.rows}")
    half = a.rows // 2
    told_progress = progress or silent
    learned, shown = _Moments(a.d_in, b.d_in), _Moments(a.d_in, b.d_in)
    for moments, first, last in ((learned, 0, half), (shown, half, a.rows)):
        for part in slices(last - first, _BATCH):
            rows = np.arange(first + part.start, first + part.stop)
            moments.add(a.gather(rows).double().numpy(), b.gather(rows).double().numpy())
            told_progress("map", first + part.stop, a.rows, "tokens")
    matrix = _SOLVERS[kind](learned)
    constant = learned.mean_y - learned.mean_x @ matrix
    values = np.linalg.svd(matrix, compute_uv=False)
    kept = values[values > _tolerance(matrix) * values.max(initial=0.0)]
    same = np.eye(a.d_in) if a.d_in == b.d_in else None
    return LinearMap(
        kind=kind,
        matrix=matrix,
        constant=constant,
        rank=len(kept),
        condition=float(kept[0] / kept[-1]) if len(kept) else float("inf"),
        explained_before=None if same is None else shown.explained(same, np.zeros(b.d_in)),
        explained=shown.explained(matrix, constant),
        tokens=half,
    )


class _Moments:
    """Sums over tokens of x, y, x^T x, x^T y and |y|^2, about the first batch's means."""

    def __init__(self, d_a: int, d_b: int) -> None:
        self.count = 0
        self._shift_x, self._shift_y = np.zeros(d_a), np.zeros(d_b)
        self._x, self._y = np.zeros(d_a), np.zeros(d_b)
        self._xx, self._xy, self._yy = np.zeros((d_a, d_a)), np.zeros((d_a, d_b)), 0.0

    def add(self, x: Array, y: Array) -> None:
        """Add tokens, (n, D_A) and (n, D_B)."""
        if not self.count:  # squares of numbers near their mean lose less to rounding
            self._shift_x, self._shift_y = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self._shift_x, y - self._shift_y
        self.count += len(x)
        self._x += x.sum(axis=0)
        self._y += y.sum(axis=0)
        self._xx += x.T @ x
        self._xy += x.T @ y
        self._yy += float(np.vdot(y, y))

    @property
    def mean_x(self) -> Array:
        """(D_A,)."""
        return self._shift_x + self._x / self.count

    @property
    def mean_y(self) -> Array:
        """(D_B,)."""
        return self._shift_y + self._y / self.count

    @property
    def xx(self) -> Array:
        """X^T X, (D_A, D_A), with X less its mean."""
        return self._xx - np.outer(self._x, self._x) / self.count

    @property
    def xy(self) -> Array:
        """X^T Y, (D_A, D_B), both less their means."""
        return self._xy - np.outer(self._x, self._y) / self.count

    @property
    def yy(self) -> float:
        """|Y|^2, with Y less its mean."""
        return self._yy - float(self._y @ self._y) / self.count

    def explained(self, matrix: Array, constant: Array) -> float:
        """Return the share of y's variance that x M + c explains."""
        off = self.mean_y - self.mean_x @ matrix - constant
        left = self.yy - 2 * np.vdot(matrix, self.xy) + np.vdot(matrix, self.xx @ matrix)
        return float(1 - (left + self.count * (off @ off)) / self.yy) if self.yy > 0 else 0.0


def _procrustes(moments: _Moments) -> Array:
    u, values, vt = np.linalg.svd(moments.xy, full_matrices=False)
    size = float(np.trace(moments.xx))
    matrix: Array = (u @ vt) * (values.sum() / size if size > 0 else 0.0)
    return matrix


def _affine(moments: _Moments) -> Array:
    values, vectors = np.linalg.eigh(moments.xx)
    kept = values > len(values) * np.finfo(float).eps * max(values[-1], 0.0)
    basis = vectors[:, kept]
    matrix: Array = basis @ ((basis.T @ moments.xy) / values[kept, None])
    return matrix


_SOLVERS = {"procrustes": _procrustes, "affine": _affine}


def _tolerance(matrix: Array) -> float:
    """Return which part of the largest singular value counts as 0."""
    return float(max(matrix.shape) * np.finfo(float).eps)
