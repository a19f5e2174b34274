"""The public scans. They check arguments, choose the backend, and call the op.

Scores are ranked in float32 (float64 for float64 inputs). The result is that of a full float32
product and a stable sort; only the rounding of a float32 dot product may differ. The larger score
comes first, ties go to the lower index, and a NaN comes before every number.
"""

import math

import torch
from torch import Tensor

from .. import checks
from ..backends import Backend, resolve_backend
from ..exactness import sum_dtype
from . import ops
from .interface import (
    LinearAboveInputs,
    LinearTopKInputs,
    MutualTopKInputs,
    PairsAboveInputs,
)
from .packed import PackedWeight, unpack
from .results import CSR, MutualTopK, Pairs, ScanStats, TopK


def linear_topk(
    x: Tensor,
    weight: Tensor | PackedWeight,
    bias: Tensor | None,
    k: int,
    *,
    floor: float | Tensor = 0.0,
    mask: Tensor | None = None,
    groups: int = 1,
    backend: Backend = "auto",
) -> TopK:
    """Find the k largest entries of each row of x @ weight.T + bias, above a floor.

    With the default floor these are the k largest entries of relu(x @ weight.T + bias), which is a
    TopK encoder (Gao et al., arXiv 2406.04093, section 2.3). Gradients flow from the values to x,
    weight and bias; missing places give none.

    Args:
        x: (N, D) float32, bfloat16, float16 or float64 (float64: reference only).
        weight: (S * L, D), x's dtype, or packed. Rows s * L to (s + 1) * L - 1 are group s.
        bias: (S * L,), x's dtype, or None.
        k: 1 to L.
        floor: a number, or (N,) of a float dtype. Only scores strictly above it are eligible; a
            NaN score always is. It is compared in the scores' precision. With -inf there is no
            floor, but a score of -inf itself is never eligible.
        mask: (S * L,) bool, or None. Only latents that are True are eligible.
        groups: S. Each group's result has the bits of a call with its part of the weight alone.
        backend: "auto" goes by x's device and dtype; "native" needs CPU tensors.

    Returns:
        TopK: values and indices (N, k), or (N, S, k) when S > 1. Where fewer than k scores are
        eligible the value is 0 and the index -1.

    Raises:
        ValueError: a shape, a device, k, groups or backend is wrong.
        TypeError: a dtype is wrong.

    """
    matrix, packed = unpack("weight", weight)
    checks.check_floats("x", x, 2)
    checks.check_floats("weight", matrix, 2)
    checks.check_shape("weight", matrix, (matrix.shape[0], x.shape[1]))
    checks.check_like("weight", matrix, "x", x)
    stacked = matrix.shape[0]
    if groups < 1 or stacked % groups:
        raise ValueError(f"groups: expected a divisor of weight's {stacked} rows, got {groups}")
    checks.check_count("k", k, stacked // groups, "the number of latents")
    if bias is not None:
        checks.check_shape("bias", bias, (stacked,))
        checks.check_like("bias", bias, "x", x)
    if mask is not None:
        checks.check_shape("mask", mask, (stacked,))
        checks.check_dtype("mask", mask, torch.bool)
        checks.check_device("mask", mask, "x", x)
    chosen = resolve_backend("linear_topk", backend, x)
    floors = _floors("floor", floor, "x", x)
    inputs = LinearTopKInputs(x, matrix, bias, packed, k, floors, mask, groups)
    values, indices, *stats = ops.linear_topk(*inputs, chosen)
    if groups == 1:
        values, indices = values.squeeze(1), indices.squeeze(1)
    return TopK(values, indices, ScanStats(*stats))


def mutual_topk(
    a: Tensor,
    b: Tensor | PackedWeight,
    m: int,
    *,
    row_floor: float | Tensor = -math.inf,
    col_floor: float | Tensor = -math.inf,
    exact: bool = True,
    backend: Backend = "auto",
) -> MutualTopK:
    """Find the m best columns of each row of a @ b.T and the m best rows of each column.

    One pass finds both. There are no gradients. Missing places are value 0, index -1. Floors save
    work if the best scores among other columns or rows are known already: scores that are no
    better than those need not be listed.

    Args:
        a: (L_A, D) float32, bfloat16, float16 or float64 (float64: reference only).
        b: (L_B, D), a's dtype, or packed.
        m: 1 to min(L_A, L_B).
        row_floor: a number, or (L_A,) of a float dtype. A row lists only scores strictly above its
            floor, and NaN; compared as the floor of `linear_topk`.
        col_floor: the same for columns, a number or (L_B,).
        exact: if False, a backend may leave out the scoring. Values are then upper bounds on the
            scores, proved by its cheap scan, and lists and floors go by these bounds. No score of
            another pair is above the last value of a full list.
        backend: "auto" goes by a's device and dtype; "native" needs CPU tensors.

    Returns:
        MutualTopK: (L_A, m) values and indices of the rows, (L_B, m) of the columns.

    Raises:
        ValueError: a shape, a device, m, a floor or backend is wrong.
        TypeError: a dtype is wrong.

    """
    matrix, packed = _check_sides(a, b)
    checks.check_count("m", m, min(a.shape[0], matrix.shape[0]), "the shorter side's length")
    chosen = resolve_backend("mutual_topk", backend, a)
    floors = _floors("row_floor", row_floor, "a", a), _floors("col_floor", col_floor, "b", matrix)
    inputs = MutualTopKInputs(a.detach(), matrix.detach(), packed, m, *floors, exact)
    row_values, row_indices, col_values, col_indices, *stats = ops.mutual_topk(*inputs, chosen)
    return MutualTopK(row_values, row_indices, col_values, col_indices, ScanStats(*stats))


def pairs_above(
    a: Tensor,
    b: Tensor | PackedWeight,
    row_price: Tensor,
    col_price: Tensor,
    *,
    margin: float,
    tiles: Tensor | None = None,
    capacity: int,
    exact: bool = True,
    backend: Backend = "auto",
) -> Pairs:
    """List all pairs with `<a_i, b_j> > row_price_i + col_price_j - margin`.

    The score is float32 (float64 for float64 inputs), and it is compared in float64. A NaN score
    is never listed. There are no gradients.

    Args:
        a: (L_A, D) float32, bfloat16, float16 or float64 (float64: reference only).
        b: (L_B, D), a's dtype, or packed.
        row_price: (L_A,) float64.
        col_price: (L_B,) float64.
        margin: how far below the sum of its prices a pair may be and still be listed.
        tiles: (T, 4) int64, half-open blocks (row_start, row_stop, col_start, col_stop); nothing
            outside them is computed. They must not overlap: a pair in two of them is listed twice.
            None stands for the whole matrix.
        capacity: the most pairs to return, 0 or more.
        exact: if False, a backend may also list pairs that its cheap scan did not rule out.
        backend: "auto" goes by a's device and dtype; "native" needs CPU tensors.

    Returns:
        Pairs, sorted by (row, col). If there are more than `capacity`, the lists are empty and
        `overflow` says how many more: call again with more capacity or fewer tiles.

    Raises:
        ValueError: a shape, a device, margin, capacity or backend is wrong, or a tile is no block
            of the matrix.
        TypeError: a dtype is wrong.

    """
    matrix, packed = _check_sides(a, b)
    for name, price, side in (("row_price", row_price, a), ("col_price", col_price, matrix)):
        checks.check_shape(name, price, (side.shape[0],))
        checks.check_dtype(name, price, torch.float64)
        checks.check_device(name, price, "a", a)
    if tiles is not None:
        checks.check_dims("tiles", tiles, 2)
        checks.check_indices("tiles", tiles, (tiles.shape[0], 4))
        checks.check_device("tiles", tiles, "a", a)
    if capacity < 0:
        raise ValueError(f"capacity: expected 0 or more, got {capacity}")
    if math.isnan(margin):
        raise ValueError("margin: expected a number, got nan")
    chosen = resolve_backend("pairs_above", backend, a)
    inputs = PairsAboveInputs(
        a.detach(), matrix.detach(), packed, row_price.detach(), col_price.detach(),
        float(margin), tiles, capacity, exact,
    )  # fmt: skip
    rows, cols, overflow, *stats = ops.pairs_above(*inputs, chosen)
    return Pairs(rows, cols, overflow, ScanStats(*stats))


def linear_above(
    x: Tensor,
    weight: Tensor | PackedWeight,
    bias: Tensor | None,
    threshold: float | Tensor,
    *,
    backend: Backend = "auto",
) -> CSR:
    """List the entries of each row of x @ weight.T + bias that are above their latent's threshold.

    With threshold 0 these are the active latents of a ReLU encoder; with one threshold for each
    latent, those of a JumpReLU encoder (Rajamanoharan et al., arXiv 2407.14435, section 3). Memory
    is that of the result: no (N, L) matrix is made. Gradients flow from the values to x, weight and
    bias, and none to the threshold.

    Args:
        x: (N, D) float32, bfloat16, float16 or float64 (float64: reference only).
        weight: (L, D), x's dtype, or packed.
        bias: (L,), x's dtype, or None.
        threshold: a number, or (L,) of a float dtype. Only scores strictly above it are listed, and
            every NaN score; it is compared in the scores' precision. A latent with threshold inf
            lists nothing except NaN.
        backend: "auto" goes by x's device and dtype; "native" needs CPU tensors.

    Returns:
        CSR: row_offsets (N + 1,), indices (P,) and values (P,) of the P scores above thresholds.
        `csr_decode` multiplies it by a decoder.

    Raises:
        ValueError: a shape, a device, the threshold or backend is wrong.
        TypeError: a dtype is wrong.

    """
    matrix, packed = unpack("weight", weight)
    checks.check_floats("x", x, 2)
    checks.check_floats("weight", matrix, 2)
    checks.check_shape("weight", matrix, (matrix.shape[0], x.shape[1]))
    checks.check_like("weight", matrix, "x", x)
    if bias is not None:
        checks.check_shape("bias", bias, (matrix.shape[0],))
        checks.check_like("bias", bias, "x", x)
    chosen = resolve_backend("linear_above", backend, x)
    thresholds = _floors("threshold", threshold, "weight", matrix)
    inputs = LinearAboveInputs(x, matrix, bias, packed, thresholds)
    values, indices, row_offsets, *stats = ops.linear_above(*inputs, chosen)
    return CSR(row_offsets, indices, values, ScanStats(*stats))


def _check_sides(a: Tensor, b: Tensor | PackedWeight) -> tuple[Tensor, list[Tensor]]:
    matrix, packed = unpack("b", b)
    checks.check_floats("a", a, 2)
    checks.check_floats("b", matrix, 2)
    checks.check_shape("b", matrix, (matrix.shape[0], a.shape[1]))
    checks.check_like("b", matrix, "a", a)
    return matrix, packed


def _floors(name: str, floor: float | Tensor, side_name: str, side: Tensor) -> Tensor:
    """Return a floor for each row of a side, in the scores' dtype."""
    dtype = sum_dtype(side.dtype)
    if not isinstance(floor, Tensor):
        if floor != floor:  # NaN; math.isnan cannot be traced
            raise ValueError(f"{name}: expected a number, got nan")
        return torch.full((side.shape[0],), float(floor), dtype=dtype, device=side.device)
    checks.check_floats(name, floor, 1)
    checks.check_shape(name, floor, (side.shape[0],))
    checks.check_device(name, floor, side_name, side)
    # No score is above a floor of NaN, and so it becomes infinity.
    return floor.detach().to(dtype).nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
