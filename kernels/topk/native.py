"""The scans in C++ (CPU, float32): tiles of the product that are selected from at once.

The product is ours, not torch's: a score is one chain of multiply-adds over D, so its bits depend
on its own row and latent only, whatever the chunks, groups and threads. bfloat16 and float16
inputs are converted to float32 as a whole first, which takes the memory of a float32 copy.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import _native
from ..arrays import array, float_array


def linear_topk(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packed: Sequence[Tensor],
    k: int,
    floor: Tensor,
    mask: Tensor | None,
    groups: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See api.linear_topk; floor (N,) float32. Values and indices (N, groups, k)."""
    # A mask leaves few latents to pack, and packing them costs less than scoring all.
    panels = packed[0] if packed and mask is None else None
    values = torch.empty((x.shape[0], groups, k))
    indices = torch.empty((x.shape[0], groups, k), dtype=torch.int64)
    _native.linear_topk(
        float_array(x),
        float_array(weight) if panels is None else None,
        None if panels is None else panels.numpy(),
        None if bias is None else float_array(bias),
        float_array(floor),
        None if mask is None else array(mask),
        torch.get_num_threads(),
        values.numpy(),
        indices.numpy(),
        weight.shape[0],
    )
    return values.to(x.dtype), indices, *_no_stats()


def mutual_topk(
    a: Tensor, b: Tensor, packed: Sequence[Tensor], m: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See api.mutual_topk."""
    row_values = torch.empty((a.shape[0], m))
    col_values = torch.empty((b.shape[0], m))
    row_indices = torch.empty((a.shape[0], m), dtype=torch.int64)
    col_indices = torch.empty((b.shape[0], m), dtype=torch.int64)
    _native.mutual_topk(
        float_array(a),
        None if packed else float_array(b),
        packed[0].numpy() if packed else None,
        torch.get_num_threads(),
        row_values.numpy(),
        row_indices.numpy(),
        col_values.numpy(),
        col_indices.numpy(),
    )
    rows = row_values.to(a.dtype), row_indices
    return *rows, col_values.to(a.dtype), col_indices, *_no_stats()


def pack_panels(weight: Tensor) -> Tensor:
    """(ceil(L / 32), D, 32) float32: panels[p, d, c] = weight[32 p + c, d], 0 past the end."""
    count = -(-weight.shape[0] // _native.PANEL)
    panels = torch.empty((count, weight.shape[1], _native.PANEL))
    _native.pack_panels(float_array(weight), torch.get_num_threads(), panels.numpy())
    return panels


def _no_stats() -> tuple[Tensor, Tensor]:
    return torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)
