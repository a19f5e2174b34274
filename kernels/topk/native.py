"""The scans in C++, on a CPU.

The scans multiply integer codes of rows and latents: int8 codes with AMX, AVX-512 VNNI or
the dot products of NEON, int16 codes with AVX2 alone. A proved bound (native/codes/bound.h) says
which pairs may belong to the result, and these get a float32 score, unless exact=False. On other
CPUs, and where codes do not pay, all scores are float32. A score's bits depend on its own row and
latent only, whatever the chunks, groups and threads. bfloat16 and float16 inputs are first
converted to float32 as a whole, which takes the memory of a float32 copy.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import extension as _native
from ..arrays import array, float_array
from .interface import (
    Above,
    LinearAboveInputs,
    LinearTopKInputs,
    Listed,
    MutualTopKInputs,
    PairsAboveInputs,
    Ranked,
    RankedBothWays,
)

# Float32 was measured to be faster for weights with fewer numbers than this, for fewer rows (unless
# the weight is packed), and for a larger k.
# The number of neon_dotprod was not measured: it is that of AVX-512 VNNI, which has the same codes.
CODES_NUMBERS = {
    "amx_int8": 2**18,
    "avx512_vnni": 2**20,
    "avx2_int16": 2**20,
    "neon_dotprod": 2**20,
}
CODES_ROWS, CODES_K = 32, 1024
# Where more scores are above their thresholds, to score each on its own takes longer than to score
# all in float32: with AVX2 so from 3 or 4 % on, at D = 576 and at D = 2,304.
CODES_SHARE = 0.03


def linear_topk(inputs: LinearTopKInputs) -> Ranked:
    """See api.linear_topk."""
    x, weight, bias, mask = inputs.x, inputs.weight, inputs.bias, inputs.mask
    values = torch.empty((x.shape[0], inputs.groups, inputs.k))
    indices = torch.empty(values.shape, dtype=torch.int64)
    counts = (0, 0)
    # A mask leaves few latents. To pack these costs less than to score all that are packed.
    packed = inputs.packed if mask is None else ()
    starts, floors = None if bias is None else float_array(bias), float_array(inputs.floor)
    eligible = None if mask is None else array(mask)
    rows, latents, threads = float_array(x), float_array(weight), torch.get_num_threads()
    outputs = values.numpy(), indices.numpy()
    in_group = weight.shape[0] // inputs.groups
    if _takes_codes(packed, x.shape[0], in_group, weight.shape[1], inputs.k):
        codes, bounds = _codes(packed)
        counts = _native.linear_topk_codes(
            rows, latents, codes, bounds, starts, floors, eligible, threads, *outputs
        )
    else:
        matrix, panels = _matrix_or_panels(latents, packed)
        _native.linear_topk(
            rows, matrix, panels, starts, floors, eligible, threads, *outputs, weight.shape[0]
        )
    return values.to(x.dtype), indices, *_stats(counts)


def mutual_topk(inputs: MutualTopKInputs) -> RankedBothWays:
    """See api.mutual_topk."""
    a, b, m, packed = inputs.a, inputs.b, inputs.m, inputs.packed
    row_values, col_values = (torch.empty((side.shape[0], m)) for side in (a, b))
    row_indices, col_indices = (
        torch.empty((side.shape[0], m), dtype=torch.int64) for side in (a, b)
    )
    counts = (0, 0)
    row_outputs = row_values.numpy(), row_indices.numpy()
    col_outputs = col_values.numpy(), col_indices.numpy()
    rows, cols, threads = float_array(a), float_array(b), torch.get_num_threads()
    floors = float_array(inputs.row_floor), float_array(inputs.col_floor)
    if _takes_codes(packed, a.shape[0], b.shape[0], a.shape[1], m):
        codes, bounds = _codes(packed)
        counts = _native.mutual_topk_codes(
            rows, cols, codes, bounds, *floors, inputs.exact, threads, *row_outputs, *col_outputs
        )
    else:
        matrix, panels = _matrix_or_panels(cols, packed)
        _native.mutual_topk(rows, matrix, panels, *floors, threads, *row_outputs, *col_outputs)
    best = row_values.to(a.dtype), row_indices, col_values.to(a.dtype), col_indices
    return *best, *_stats(counts)


def pairs_above(inputs: PairsAboveInputs) -> Listed:
    """See api.pairs_above."""
    a, b, packed, tiles = inputs.a, inputs.b, inputs.packed, inputs.tiles
    if tiles is None:
        tiles = torch.tensor([[0, a.shape[0], 0, b.shape[0]]])
    left, right = float_array(a), float_array(b)
    prices = array(inputs.row_price), array(inputs.col_price)
    blocks, threads, scored = array(tiles), torch.get_num_threads(), 0
    if _takes_codes(packed, a.shape[0], b.shape[0], a.shape[1], 1):
        codes, bounds = _codes(packed)
        rows, cols, overflow, scored = _native.pairs_above_codes(
            left, right, codes, bounds, *prices, inputs.margin, blocks, inputs.capacity,
            inputs.exact, threads,
        )  # fmt: skip
    else:
        _, panels = _matrix_or_panels(right, packed)
        rows, cols, overflow = _native.pairs_above(
            left, right, panels, *prices, inputs.margin, blocks, inputs.capacity, threads
        )
    lists = torch.from_numpy(rows), torch.from_numpy(cols)
    return *lists, torch.tensor(overflow), *_stats((scored, 0))


def linear_above(inputs: LinearAboveInputs) -> Above:
    """See api.linear_above."""
    x, weight, bias, packed = inputs.x, inputs.weight, inputs.bias, inputs.packed
    rows, latents = float_array(x), float_array(weight)
    starts = None if bias is None else float_array(bias)
    thresholds, threads, scored = float_array(inputs.threshold), torch.get_num_threads(), 0
    takes_codes = _takes_codes(packed, x.shape[0], weight.shape[0], weight.shape[1], 1)
    if takes_codes and (_codes_are_forced() or _share_above(inputs) < CODES_SHARE):
        codes, bounds = _codes(packed)
        offsets, indices, values, scored = _native.linear_above_codes(
            rows, latents, codes, bounds, starts, thresholds, threads
        )
    else:
        matrix, panels = _matrix_or_panels(latents, packed)
        offsets, indices, values = _native.linear_above(
            rows, matrix, panels, starts, thresholds, threads
        )
    lists = torch.from_numpy(indices), torch.from_numpy(offsets)
    return torch.from_numpy(values).to(x.dtype), *lists, *_stats((scored, 0))


def _share_above(inputs: LinearAboveInputs) -> float:
    """Return the share of scores above thresholds in an even sample of rows and latents."""
    rows = inputs.x[:: max(1, inputs.x.shape[0] // 64)]
    latents = slice(None, None, max(1, inputs.weight.shape[0] // 256))
    scores = rows.float() @ inputs.weight[latents].float().T
    if inputs.bias is not None:
        scores += inputs.bias[latents].float()
    return float((scores > inputs.threshold[latents]).float().mean()) if scores.numel() else 0.0


def pack_weight(weight: Tensor) -> tuple[Tensor, ...]:
    """Return what the scans read: codes with their bounds, or panels of float32 numbers."""
    latents, depth = weight.shape
    if _takes_codes((), CODES_ROWS, latents, depth, 1):
        return _pack_codes(weight)
    return (pack_panels(weight),)


def _takes_codes(packed: Sequence[Tensor], rows: int, latents: int, depth: int, k: int) -> bool:
    """Whether a call scans codes: only where it can, and where it pays or TWINSAE_CPU_ISA asks."""
    if not _native.codes_planes(depth):
        return False
    isa = _native.isa()
    rows_pay = bool(packed) or rows >= CODES_ROWS
    pays = rows_pay and latents * depth >= CODES_NUMBERS[isa] and k <= CODES_K
    return pays or _codes_are_forced()


def _codes_are_forced() -> bool:
    return os.environ.get("TWINSAE_CPU_ISA") == _native.isa()


def _pack_codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes (ceil(L / 32), planes, bytes of a row / 4, 32, 4) as int8, and their bounds."""
    latents, depth = weight.shape
    panels = -(-latents // _native.PANEL)
    planes, quads = _native.codes_planes(depth), _native.codes_quads(depth)
    codes = torch.empty((panels, planes, quads, _native.PANEL, _native.QUAD), dtype=torch.int8)
    bounds = torch.empty((panels, _native.BOUNDS_OF_PANEL))
    _native.pack_codes(float_array(weight), torch.get_num_threads(), codes.numpy(), bounds.numpy())
    return codes, bounds


def pack_panels(weight: Tensor) -> Tensor:
    """Return (ceil(L / 32), D, 32) float32: [p, d, c] is weight[32 p + c, d], or 0 past the end."""
    count = -(-weight.shape[0] // _native.PANEL)
    panels = torch.empty((count, weight.shape[1], _native.PANEL))
    _native.pack_panels(float_array(weight), torch.get_num_threads(), panels.numpy())
    return panels


def _codes(packed: Sequence[Tensor]) -> tuple[Any, Any]:
    """Return packed codes and bounds as arrays, or None and None."""
    return (packed[0].numpy(), packed[1].numpy()) if len(packed) == 2 else (None, None)


def _matrix_or_panels(matrix: Any, packed: Sequence[Tensor]) -> tuple[Any, Any]:
    """Return the matrix, or the panels that were packed from it; the other is None."""
    return (None, packed[0].numpy()) if len(packed) == 1 else (matrix, None)


def _stats(counts: tuple[int, int]) -> tuple[Tensor, Tensor]:
    survivors, redone = counts
    return torch.tensor(survivors), torch.tensor(redone)
