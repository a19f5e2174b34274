"""Rounds float32 rows to float16 for a scan that proposes. bound.py has the proof."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...backends import interpreting
from .bound import LARGEST, MOST_SCALED, Rough, Slack, relative_error

# The interpreter is faster with a few large programs.
ROWS, BLOCK, WARPS = (64, 512, 4) if interpreting() else (1, 1024, 4)


@triton.jit(do_not_specialize=["row_count"])
def round_rows(
    x_ptr, latent_scale_ptr, half_ptr, slack_ptr, scale_ptr, row_count, dim, factor, tiny,
    MOST_SCALED: tl.constexpr, LARGEST: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Scale each row by its own power of two, and round it to float16.

    Args:
        x_ptr: (N, D) float32.
        latent_scale_ptr: (1,) float32: the scale of the rounded latents.
        half_ptr: (N, D) float16, written.
        slack_ptr: (N,) float32, written: see bound.Slack; scale_ptr: (N,) float32, written.
        row_count: N; dim: D.
        factor: bound.relative_error.
        tiny: sqrt(D) * 2^-14, which enlarges norms for what is below float16's normal numbers.

    """
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < row_count
    squares = tl.zeros((ROWS, BLOCK), tl.float32)
    largest = tl.zeros((ROWS, BLOCK), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (cols < dim)[None, :]
        number = tl.load(x_ptr + rows[:, None] * dim + cols[None, :], mask=inside, other=0.0)
        squares += number * number
        largest = tl.maximum(largest, tl.abs(number))
    # This enlarges the norm by sqrt(D) 2^-50.
    norm = tl.sqrt_rn(tl.sum(squares, 1)) + tiny * 2.0**-36
    bounded = norm <= LARGEST
    # The bits of a float32 number hold its exponent from the 24th bit on: 127 for 1 to 2.
    top = tl.where(bounded, tl.max(largest, 1), 0.0)
    exponent = (top.to(tl.int32, bitcast=True) >> 23) - 126
    shift = tl.minimum(tl.maximum(15 - exponent, -MOST_SCALED), MOST_SCALED)
    up = ((127 + shift) << 23).to(tl.float32, bitcast=True)
    down = ((127 - shift) << 23).to(tl.float32, bitcast=True)
    slack = tl.where(bounded, (norm + tiny * down) * factor, float("nan"))
    tl.store(slack_ptr + rows, slack, mask=there)
    tl.store(scale_ptr + rows, down * tl.load(latent_scale_ptr), mask=there)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (cols < dim)[None, :]
        place = rows[:, None] * dim + cols[None, :]
        number = tl.load(x_ptr + place, mask=inside, other=0.0)
        tl.store(half_ptr + place, (number * up[:, None]).to(tl.float16), mask=inside)


def rounded(x: Tensor, latents: Rough) -> tuple[Tensor, Slack]:
    """Return a contiguous x (N, D) float32 in float16, and the bound for all latents."""
    rows, dim = x.shape
    half = torch.empty_like(x, dtype=torch.float16)
    slack = torch.empty(rows, dtype=torch.float32, device=x.device)
    scale = torch.empty_like(slack)
    if rows:
        round_rows[(triton.cdiv(rows, ROWS),)](
            x, latents.scale, half, slack, scale, rows, dim, relative_error(dim),
            math.sqrt(dim) * 2.0**-14, MOST_SCALED=MOST_SCALED, LARGEST=LARGEST,
            ROWS=ROWS, BLOCK=BLOCK, num_warps=WARPS,
        )  # fmt: skip
    return half, Slack(slack, latents.norms, scale)
