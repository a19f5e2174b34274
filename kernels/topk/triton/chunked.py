"""Makes proposals from torch's products (cuBLAS on a GPU), a block of scores at a time.

A block's scores become the keys of its groups before the next block is made, so that their small
buffer stays in the L2 cache. The bits of such a product may differ for another shape or alignment.
It therefore only proposes, and the re-score decides.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...exactness import exact_products
from .rescore import Scores
from .scan import eligible_order, keep_best
from .scheme import Scheme

ROWS, LATENTS = 2048, 4096  # the size of a block, in whole groups: 32 MiB of scores
FILTER_ROWS, FILTER_COLS, WARPS = 32, 128, 4  # the size of one program of filter_groups


@triton.jit
def filter_groups(
    scores_ptr, row_slack_ptr, latent_slack_ptr, scale_ptr, bias_ptr, mask_ptr, floor_ptr, keys_ptr,
    row_count, first, latents, width, group_count, stack, stacks,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP: tl.constexpr, KEPT: tl.constexpr,
):  # fmt: skip
    """Write the KEPT best keys of every GROUP latents of a block of scores.

    It does what `scan_groups` does with its tiles, for the scores of another product. bound.py has
    the proof.

    Args:
        scores_ptr: (N, width) float32: scores of `width` latents of one stack, from `first` on.
        row_slack_ptr: (N,) float32; latent_slack_ptr: (S * L,) float32; scale_ptr: (1,) float32.
        bias_ptr: (S * L,) or None; mask_ptr: (S * L,) bool or None.
        floor_ptr: (N,) float32 or None.
        keys_ptr: (N, S, group_count, KEPT) int64, written.
        row_count: N; first: a multiple of GROUP; latents: L; group_count: ceil(L / GROUP).
        stack: the number of the stack; stacks: S.

    """
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inner = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    there = (rows < row_count)[:, None] & (inner < width)[None, :]
    places = rows.to(tl.int64)[:, None] * width + inner[None, :]
    block = tl.load(scores_ptr + places, mask=there, other=0.0)
    cols = first + inner
    order = eligible_order(
        block, row_slack_ptr, latent_slack_ptr, scale_ptr, bias_ptr, mask_ptr, floor_ptr,
        rows, cols, stack, row_count, latents,
    )  # fmt: skip
    groups = (first + tl.program_id(1) * BLOCK_N) // GROUP + tl.arange(0, BLOCK_N // GROUP)
    outputs = rows.to(tl.int64) * stacks + stack
    keep_best(order, keys_ptr, outputs, groups, row_count * stacks, group_count, GROUP, KEPT)


def chunked_keys(scores: Scores, scheme: Scheme) -> Tensor:
    """Return the keys that a fused scan would, (N * S, groups * kept), with slack.

    scores: rounded inputs with their slack.
    """
    rows, latents, stacks = scores.x.shape[0], scores.latents, scores.stacks
    group_count = triton.cdiv(latents, scheme.group)
    keys = torch.empty(
        (rows * stacks, group_count * scheme.kept), dtype=torch.int64, device=scores.x.device
    )
    by_row = keys.view(rows, stacks * group_count * scheme.kept)
    buffer = torch.empty(
        min(rows, ROWS) * min(latents, LATENTS), dtype=torch.float32, device=scores.x.device
    )
    slack = scores.slack
    assert slack is not None
    with _float32_sums(scores.x.device):
        for stack in range(stacks):
            for first in range(0, latents, LATENTS):
                width = min(latents - first, LATENTS)
                weight = scores.weight[stack * latents + first :][:width]
                for start in range(0, rows, ROWS):
                    part = slice(start, min(rows, start + ROWS))
                    x = scores.x[part]
                    block = buffer[: x.shape[0] * width].view(-1, width)
                    _product(x, weight, block)
                    grid = triton.cdiv(len(x), FILTER_ROWS), triton.cdiv(width, FILTER_COLS)
                    filter_groups[grid](
                        block, slack.rows[part], slack.latents, slack.scale, scores.bias,
                        scores.mask,
                        None if scores.floor is None else scores.floor[part], by_row[part],
                        len(x), first, latents, width, group_count, stack, stacks,
                        BLOCK_M=FILTER_ROWS, BLOCK_N=FILTER_COLS, GROUP=scheme.group,
                        KEPT=scheme.kept, num_warps=WARPS,
                    )  # fmt: skip
    return keys


def _product(x: Tensor, weight: Tensor, out: Tensor) -> None:
    """Write x @ weight.T in float32, because half precision would round the scores."""
    if not x.is_cuda:  # only on a GPU torch multiplies halves to float32
        torch.mm(x.float(), weight.float().T, out=out)
    else:
        torch.mm(x, weight.T, out_dtype=torch.float32, out=out)


@contextmanager
def _float32_sums(device: torch.device) -> Iterator[None]:
    """In this context, half-precision products on a GPU have float32 sums in any case."""
    with ExitStack() as stack:
        stack.enter_context(exact_products(device))
        if device.type == "cuda":
            settings = torch.backends.cuda.matmul
            for name in ("bf16", "fp16"):
                option = f"allow_{name}_reduced_precision_reduction"
                stack.enter_context(_setting(settings, option, False))
            stack.enter_context(_setting(settings, "allow_fp16_accumulation", False))
        yield


@contextmanager
def _setting(settings: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(settings, name)
    setattr(settings, name, value)
    try:
        yield
    finally:
        setattr(settings, name, before)
