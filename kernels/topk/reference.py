"""The scans in torch, for any float dtype and device: the specification of every backend.

The product is made one chunk of rows and latents at a time, so that working memory does not grow
with N or L.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..exactness import exact_products, sum_dtype
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

CHUNK_ROWS, CHUNK_LATENTS = 1024, 2048  # a chunk of scores is at most 8 MiB in float32
CHUNK_BYTES = 16 << 20  # the most that the rows of one side of a chunk take, for a very large D


def linear_topk(inputs: LinearTopKInputs) -> Ranked:
    """See api.linear_topk."""
    x, groups = inputs.x, inputs.groups
    latents = inputs.weight.shape[0] // groups
    values = x.new_zeros((x.shape[0], groups, inputs.k))
    indices = torch.full_like(values, -1, dtype=torch.int64)
    with exact_products(x.device):
        for group in range(groups):
            part = slice(group * latents, (group + 1) * latents)
            own = torch.arange(latents, device=x.device)
            if inputs.mask is not None:
                own = own[inputs.mask[part]]
            weight, bias = inputs.weight[part], None if inputs.bias is None else inputs.bias[part]
            for rows in _chunks(x, CHUNK_ROWS):
                best = _best_of_rows(x[rows], weight, bias, own, inputs.k, inputs.floor[rows])
                values[rows, group], indices[rows, group] = _filled(best, x.dtype)
    return values, indices, *_no_stats(x)


def mutual_topk(inputs: MutualTopKInputs) -> RankedBothWays:
    """See api.mutual_topk."""
    a, b = inputs.a, inputs.b
    row_best = _nothing_yet(a.shape[0], inputs.m, a)
    col_best = _nothing_yet(b.shape[0], inputs.m, a)
    with exact_products(a.device):
        for rows in _chunks(a, CHUNK_ROWS):
            for cols in _chunks(b, CHUNK_LATENTS):
                scores = _matrix(a[rows]) @ _matrix(b[cols]).T  # (rows, cols)
                _improve(row_best, rows, scores, cols.start)
                _improve(col_best, cols, scores.T.contiguous(), rows.start)
    for (values, _), floor in ((row_best, inputs.row_floor), (col_best, inputs.col_floor)):
        values.masked_fill_(values <= floor[:, None], -math.inf)
    return *_filled(row_best, a.dtype), *_filled(col_best, a.dtype), *_no_stats(a)


def pairs_above(inputs: PairsAboveInputs) -> Listed:
    """See api.pairs_above."""
    a, b, capacity = inputs.a, inputs.b, inputs.capacity
    found = [torch.empty((2, 0), dtype=torch.int64, device=a.device)]
    count = 0
    with exact_products(a.device):
        for row_start, row_stop, col_start, col_stop in _tile_bounds(a, b, inputs.tiles):
            for rows in _chunks(a, CHUNK_ROWS, row_start, row_stop):
                for cols in _chunks(b, CHUNK_LATENTS // 2, col_start, col_stop):
                    scores = _matrix(a[rows]) @ _matrix(b[cols]).T
                    # The bound is float64, and so is the comparison with it.
                    bound = inputs.row_price[rows, None] + inputs.col_price[cols] - inputs.margin
                    here = (scores > bound).nonzero().T  # (2, pairs)
                    count += here.shape[1]
                    if count <= capacity:
                        found.append(here + here.new_tensor([[rows.start], [cols.start]]))
    overflow = torch.tensor(max(0, count - capacity), device=a.device)
    pairs = torch.cat(found, dim=1) if count <= capacity else found[0]
    keys = (pairs[0] * b.shape[0] + pairs[1]).sort().values
    length = max(1, b.shape[0])
    return keys // length, keys % length, overflow, *_no_stats(a)


def linear_above(inputs: LinearAboveInputs) -> Above:
    """See api.linear_above."""
    x, weight, bias = inputs.x, inputs.weight, inputs.bias
    counts = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
    found = [(counts[:0], x[:0, :0].flatten())]
    with exact_products(x.device):
        for rows in _chunks(x, CHUNK_ROWS):
            left = _matrix(x[rows])
            parts = []
            for latents in _chunks(weight, CHUNK_LATENTS):
                scores = left @ _matrix(weight[latents]).T
                if bias is not None:
                    scores += bias[latents]
                above = (~(scores <= inputs.threshold[latents])).nonzero()  # (places, 2)
                parts.append((above[:, 0], above[:, 1] + latents.start, scores[*above.T]))
            if parts:
                row, latent, score = (torch.cat(part) for part in zip(*parts, strict=True))
                order = row.sort(stable=True)  # the latents of each row ascend already
                counts[rows] = torch.bincount(row, minlength=left.shape[0])
                found.append((latent[order.indices], score[order.indices].to(x.dtype)))
    indices, values = (torch.cat(part) for part in zip(*found, strict=True))
    row_offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return values, indices, row_offsets, *_no_stats(x)


def _best_of_rows(
    x: Tensor, weight: Tensor, bias: Tensor | None, own: Tensor, k: int, floor: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the values and indices of some rows' k best among the latents `own`, which ascend."""
    best = _nothing_yet(x.shape[0], k, x)
    everyone = slice(0, x.shape[0])
    left = _matrix(x)
    step = _chunk_rows(weight, CHUNK_LATENTS)
    for start in range(0, own.shape[0], step):
        latents = own[start : start + step]
        scores = left @ _matrix(weight[latents]).T
        if bias is not None:
            scores += bias[latents]
        scores.masked_fill_(scores <= floor[:, None], -math.inf)
        _improve(best, everyone, scores, latents)
    return best


def _improve(
    best: tuple[Tensor, Tensor], rows: slice, scores: Tensor, columns: Tensor | int
) -> None:
    """Merge new scores (rows, C) into the best ones, which all have lower indices.

    columns: the indices of the new scores, (C,) ascending, or the first of C consecutive ones.
    """
    values, indices = best
    k = values.shape[1]
    new_values, picked = _top_columns(scores, min(k, scores.shape[1]))
    new_indices = columns[picked] if isinstance(columns, Tensor) else picked + columns
    merged = torch.cat([values[rows], new_values], dim=1).sort(dim=1, descending=True, stable=True)
    candidates = torch.cat([indices[rows], new_indices], dim=1)
    values[rows] = merged.values[:, :k]
    indices[rows] = candidates.gather(1, merged.indices[:, :k])


def _top_columns(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each row, descending, and their columns; ties go to the lower one.

    torch.topk is fast, but any of equal scores may come first. Rows whose k-th value equals the
    next one are sorted in full.
    """
    if k == scores.shape[1]:
        everything = scores.sort(dim=1, descending=True, stable=True)
        return everything.values, everything.indices
    top = scores.topk(k + 1, dim=1)
    last, following = top.values[:, k - 1], top.values[:, k]
    tied = (last == following) | (last.isnan() & following.isnan())
    tied &= last != -math.inf
    picked = top.indices[:, :k].sort(dim=1).values
    if tied.any():
        whole = scores[tied].sort(dim=1, descending=True, stable=True)
        picked[tied] = whole.indices[:, :k]
    ordered = scores.gather(1, picked).sort(dim=1, descending=True, stable=True)
    return ordered.values, picked.gather(1, ordered.indices)


def _filled(best: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Put 0 and -1 in missing places."""
    values, indices = best
    missing = values == -math.inf
    return values.masked_fill(missing, 0).to(dtype), indices.masked_fill(missing, -1)


def _nothing_yet(rows: int, k: int, like: Tensor) -> tuple[Tensor, Tensor]:
    dtype = sum_dtype(like.dtype)
    values = torch.full((rows, k), -math.inf, dtype=dtype, device=like.device)
    return values, torch.full_like(values, -1, dtype=torch.int64)


def _matrix(rows: Tensor) -> Tensor:
    """Return rows in the scores' dtype, contiguous and aligned; a product's bits depend on both."""
    rows = rows.to(sum_dtype(rows.dtype)).contiguous()
    return rows.clone() if rows.data_ptr() % 64 else rows


def _chunk_rows(side: Tensor, most: int) -> int:
    """Return how many rows a chunk has: a multiple of 16, so that all have the same alignment."""
    fit = CHUNK_BYTES // (8 * max(1, side.shape[1]))
    return max(16, min(most, fit // 16 * 16))


def _chunks(side: Tensor, most: int, start: int = 0, stop: int | None = None) -> Iterator[slice]:
    end = side.shape[0] if stop is None else stop
    step = _chunk_rows(side, most)
    for begin in range(start, end, step):
        yield slice(begin, min(end, begin + step))


def _tile_bounds(a: Tensor, b: Tensor, tiles: Tensor | None) -> list[list[int]]:
    if tiles is None:
        return [[0, a.shape[0], 0, b.shape[0]]]
    bounds: list[list[int]] = tiles.tolist()
    for tile in bounds:
        row_start, row_stop, col_start, col_stop = tile
        inside = 0 <= row_start <= row_stop <= a.shape[0]
        if not (inside and 0 <= col_start <= col_stop <= b.shape[0]):
            raise ValueError(
                f"tiles: expected blocks of a {a.shape[0]} x {b.shape[0]} matrix, got {tile}"
            )
    return bounds


def _no_stats(like: Tensor) -> tuple[Tensor, Tensor]:
    survivors, redone = torch.zeros((2,), dtype=torch.int64, device=like.device).unbind()
    return survivors.clone(), redone.clone()
