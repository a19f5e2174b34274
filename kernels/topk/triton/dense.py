"""Finds the k best of rows on a GPU from all their scores, for any k and any rows."""

from collections.abc import Iterator

import torch
import triton
from torch import Tensor

from ...launch import capturing
from .rescore import Scores
from .scan import INDEX_BITS, MISSING, score_all
from .select import CHUNK, MOST, choose, chunks_of, rank
from .tiles import BAND, full_tile

KEYS_AT_ONCE = 1 << 22  # the most keys of a block: 32 MiB
GATHERED = 32 << 20  # the most bytes of latents that are gathered at once
FEW_ROWS = 128  # a block of many latents has this many rows, as many as a tile
GRAPH_ROWS = 128
"""How many rows of each stack are computed again in a CUDA graph, however many it turns out."""


def dense_topk(
    scores: Scores, stack: int, k: int, rows: Tensor | None = None
) -> Iterator[tuple[Tensor | slice, Tensor, Tensor]]:
    """Find the k best of each row from the keys of all latents, a block of scores at a time.

    Args:
        scores: the inputs, contiguous. Latents that the mask leaves out are not multiplied, except
            while a CUDA graph is recorded.
        stack: the number of the stack.
        k: 1 or more.
        rows: numbers of the rows, (R,) int64; None for all.

    Yields:
        Which rows, then their values (r, k) float32 and indices (r, k) int64; 0 and -1 in missing
        places.

    """
    scores = scores.of_stacks(slice(stack, stack + 1))
    own = None
    if scores.mask is not None and not capturing(scores.x):
        own = scores.mask.nonzero().squeeze(1)  # it ascends: ties still go to the lower index
    latents = scores.latents if own is None else own.shape[0]
    count = scores.x.shape[0] if rows is None else rows.shape[0]
    width = KEYS_AT_ONCE // max(1, min(count, FEW_ROWS))
    if own is not None:
        width = min(width, GATHERED // max(1, scores.x.element_size() * scores.x.shape[1]))
    width = max(1, min(latents, width // 256 * 256 or width))  # loads go by 16 bytes
    height = max(1, KEYS_AT_ONCE // max(width, 2 * k))
    for start in range(0, count, height):
        stop = min(count, start + height)
        part = slice(start, stop) if rows is None else rows[start:stop]
        values, indices = _ranked(_best_keys(scores.of_rows(part), own, width, k), k)
        if own is not None and latents:
            indices = torch.where(indices < 0, -1, own[indices.clamp(min=0)])
        yield part, values, indices


def _best_keys(scores: Scores, own: Tensor | None, width: int, k: int) -> Tensor:
    """Return keys (R, count) with the k best of each row. `own` are the latents that count."""
    best = torch.empty((scores.x.shape[0], 0), dtype=torch.int64, device=scores.x.device)
    latents = scores.latents if own is None else own.shape[0]
    for first in range(0, latents, width):
        stop = min(latents, first + width)
        part = slice(first, stop) if own is None else own[first:stop]
        keys = _all_keys(scores.of_latents(part), None if own is not None else scores.mask, first)
        if width < latents:
            keys = torch.cat([best, _kept(keys, k)], 1)
        best = _kept(keys, k) if keys.shape[1] > CHUNK else keys
    return best


def _kept(keys: Tensor, k: int) -> Tensor:
    """Return fewer of the keys (R, count), in any order, with the k best."""
    if k > MOST:  # all keys except MISSING are distinct: torch.topk has no ties to break
        return keys.topk(min(k, keys.shape[1]), dim=1).values
    chosen = keys.new_empty((keys.shape[0], chunks_of(keys.shape[1]), k))
    choose(keys, k, 1, chosen, None)
    return chosen.flatten(1)


def _ranked(keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores and indices of each row's keys (R, count).

    Most calls redo a few rows. `rank` takes a few launches for that, and torch.topk 30.
    """
    values = torch.zeros((keys.shape[0], 1, k), dtype=torch.float32, device=keys.device)
    indices = torch.full_like(values, -1, dtype=torch.int64)
    if k <= MOST and keys.numel():
        rank(keys, None, k, values, indices)
    elif keys.numel():
        most = min(k, keys.shape[1])
        best = scores_and_indices(keys.topk(most, dim=1).values)
        values[:, 0, :most], indices[:, 0, :most] = best
    return values.squeeze(1), indices.squeeze(1)


def _all_keys(scores: Scores, mask: Tensor | None, first: int) -> Tensor:
    rows, latents = scores.x.shape[0], scores.latents
    keys = torch.empty((rows, latents), dtype=torch.int64, device=scores.x.device)
    tile = full_tile("linear_topk", scores.x)
    grid = (triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols),)
    score_all[grid](
        scores.x, scores.weight, scores.bias, mask, scores.floor, keys,
        rows, latents, first, scores.x.shape[1],
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return keys


def scores_and_indices(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float32 scores and int64 indices of keys; 0 and -1 for MISSING."""
    order = (keys >> 32).to(torch.int32)
    scores = (order ^ ((order >> 31) & INDEX_BITS.value)).view(torch.float32)
    indices = INDEX_BITS.value - (keys & INDEX_BITS.value)
    missing = keys == MISSING
    return scores.masked_fill(missing, 0), indices.masked_fill(missing, -1)


def first_call(scores: Scores, k: int) -> bool:
    """Whether this process has not yet called a scan of this kind on this GPU.

    Then a caller computes a row again, even if all are proved, so that the kernels for that are
    compiled now, and not at some later step, or while a CUDA graph is recorded.
    """
    x = scores.x
    masked, biased = scores.mask is not None, scores.bias is not None
    kind = x.device, x.dtype, x.shape[1], scores.latents, scores.stacks, k, masked, biased
    first = x.is_cuda and kind not in _called
    _called.add(kind)
    return first


_called: set[tuple[object, ...]] = set()


def rows_again(proved: Tensor, least: int = 0) -> tuple[Tensor, Tensor | None]:
    """Return the numbers of the rows that have to be computed again.

    While a CUDA graph is recorded, nobody can ask how many these are. Then it is a fixed number of
    rows: the first that are not proved, and row 0 in the places that are left, where computing it
    again changes nothing.

    Args:
        proved: (N,) bool.
        least: 1 if at least one row is wanted.

    Returns:
        (R,) int64; and, for a graph, (N,) bool: which rows are lost, as neither proved nor listed.
        A caller gives them NaN. None outside a graph.

    """
    if not capturing(proved):
        rows = (~proved).nonzero().squeeze(1)
        return rows if rows.numel() >= least else torch.zeros_like(
            proved[:1], dtype=rows.dtype
        ), None
    unproved = ~proved
    rows = torch.nonzero_static(unproved, size=GRAPH_ROWS, fill_value=0).squeeze(1)
    return rows, unproved & (unproved.cumsum(0) > GRAPH_ROWS)
