"""The scans in C++ (CPU): tiles of the product that are selected from at once.

On a CPU with AVX-512 VNNI, `linear_topk` multiplies int8 codes of rows and latents, keeps the
latents whose score may be among the k best by a proved bound, and scores those in float32; where
that does not pay, and in `mutual_topk`, all scores are float32. Either product is ours, not
torch's: a score's bits depend on its own row and latent only, whatever the chunks, groups and
threads. bfloat16 and float16
inputs are converted to float32 as a whole first, which takes the memory of a float32 copy.
"""

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from .. import _native
from ..arrays import array, float_array

INT8_ISA = "avx512_vnni"
# Below these, or in longer rows, measured times favour float32 (`twinsae bench encode`).
INT8_ROWS, INT8_LATENTS, INT8_DEPTH = 64, 8192, 1024


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
    values = torch.empty((x.shape[0], groups, k))
    indices = torch.empty((x.shape[0], groups, k), dtype=torch.int64)
    counts = (0, 0)
    # A mask leaves few latents to pack, and packing them costs less than scoring all.
    ready = packed if mask is None else ()
    inputs = (
        None if bias is None else float_array(bias),
        float_array(floor),
        None if mask is None else array(mask),
        torch.get_num_threads(),
        values.numpy(),
        indices.numpy(),
    )
    if _takes_int8(x.shape[0], weight.shape[0] // groups, weight.shape[1], k):
        codes, bounds = (part.numpy() for part in ready) if len(ready) == 2 else (None, None)
        counts = _native.linear_topk_int8(
            float_array(x), float_array(weight), codes, bounds, *inputs
        )
    else:
        panels = ready[0].numpy() if len(ready) == 1 else None
        rows = float_array(weight) if panels is None else None
        _native.linear_topk(float_array(x), rows, panels, *inputs, weight.shape[0])
    survivors, redone = (torch.tensor(count) for count in counts)
    return values.to(x.dtype), indices, survivors, redone


def mutual_topk(
    a: Tensor, b: Tensor, packed: Sequence[Tensor], m: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See api.mutual_topk."""
    panels = packed[0].numpy() if len(packed) == 1 else None
    row_values = torch.empty((a.shape[0], m))
    col_values = torch.empty((b.shape[0], m))
    row_indices = torch.empty((a.shape[0], m), dtype=torch.int64)
    col_indices = torch.empty((b.shape[0], m), dtype=torch.int64)
    _native.mutual_topk(
        float_array(a),
        float_array(b) if panels is None else None,
        panels,
        torch.get_num_threads(),
        row_values.numpy(),
        row_indices.numpy(),
        col_values.numpy(),
        col_indices.numpy(),
    )
    rows = row_values.to(a.dtype), row_indices
    return *rows, col_values.to(a.dtype), col_indices, *_no_stats()


def pack_weight(weight: Tensor) -> tuple[Tensor, ...]:
    """Return what `linear_topk` scans: codes and bounds for int8, else panels for float32."""
    latents, depth = weight.shape
    if _takes_int8(INT8_ROWS, latents, depth, 1):
        return _pack_codes(weight)
    return (pack_panels(weight),)


def _takes_int8(rows: int, latents: int, depth: int, k: int) -> bool:
    """Whether the int8 scan serves a call: where it can and, unless it is forced, where it pays."""
    if _native.isa() != INT8_ISA or not 0 < depth <= _native.MAX_INT8_DEPTH:
        return False
    if k > _native.MAX_INT8_K:
        return False
    pays = rows >= INT8_ROWS and latents >= INT8_LATENTS and depth <= INT8_DEPTH
    return pays or os.environ.get("TWINSAE_CPU_ISA") == INT8_ISA


def _pack_codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (ceil(L / 32), ceil(D / 4), 32, 4) int8, and what bounds their error, by panel."""
    panels = -(-weight.shape[0] // _native.PANEL)
    quads = -(-weight.shape[1] // _native.QUAD)
    codes = torch.empty((panels, quads, _native.PANEL, _native.QUAD), dtype=torch.int8)
    bounds = torch.empty((panels, _native.BOUNDS_OF_PANEL))
    _native.pack_int8(float_array(weight), torch.get_num_threads(), codes.numpy(), bounds.numpy())
    return codes, bounds


def pack_panels(weight: Tensor) -> Tensor:
    """(ceil(L / 32), D, 32) float32: panels[p, d, c] = weight[32 p + c, d], 0 past the end."""
    count = -(-weight.shape[0] // _native.PANEL)
    panels = torch.empty((count, weight.shape[1], _native.PANEL))
    _native.pack_panels(float_array(weight), torch.get_num_threads(), panels.numpy())
    return panels


def _no_stats() -> tuple[Tensor, Tensor]:
    return torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)
