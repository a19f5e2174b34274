"""The kernels that multiply on a GPU, tile by tile, and keep the best keys of each tile.

A score's bits depend on its own row and latent only, as long as BLOCK_K is the same, because every
kernel multiplies with `scores_of_tile` or `described_scores`. A float32 score is one chain of fused
steps from the first column to the last, whatever BLOCK_K is. Proposing scans (bound.py) add a slack
to each score, so that it is not below the score of the full float32 product.

Scores are compared as int64 keys. The upper half of a key holds the score's bits, mapped so that
integers compare as the scores do. The lower half holds the complement of the latent's index. So the
larger key has the larger score or, of equal scores, the lower index.
"""

import triton
import triton.language as tl

LEAST = tl.constexpr(-(2**31))  # stands for no score; below every ordered score
MISSING = -(2**63)  # the key that stands for no score; below every other key
NAN_BITS = tl.constexpr(0x7FC00000)  # larger than the bits of infinity
INDEX_BITS = tl.constexpr(0x7FFFFFFF)


@triton.jit
def tile_of_program(program, row_tiles, col_tiles, BAND: tl.constexpr):
    """Return a program's row tile and column tile. BAND row tiles share each column tile."""
    band = program // (BAND * col_tiles)
    first = band * BAND
    width = tl.minimum(row_tiles - first, BAND)
    inside = program - band * BAND * col_tiles
    return first + inside % width, inside // width


@triton.jit
def scores_of_tile(
    x_ptr, weight_ptr, rows, latents, row_count, latent_count, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Return <x[rows], weight[latents]>, (BLOCK_M, BLOCK_N) float32; 0 outside the matrices."""
    depth = tl.arange(0, BLOCK_K)
    left = x_ptr + rows.to(tl.int64)[:, None] * dim + depth[None, :]
    right = weight_ptr + latents.to(tl.int64)[None, :] * dim + depth[:, None]
    row_inside = (rows < row_count)[:, None]
    latent_inside = (latents < latent_count)[None, :]
    scores = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, dim, BLOCK_K):
        inside = start + depth < dim
        a = tl.load(left + start, mask=row_inside & inside[None, :], other=0.0)
        b = tl.load(right + start, mask=latent_inside & inside[:, None], other=0.0)
        scores = tl.dot(a, b, scores, input_precision="ieee")
    return scores


@triton.jit
def described_scores(
    x_desc, weight_desc, row, latent, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Return the same as `scores_of_tile`, but read by tensor descriptors.

    Args:
        x_desc: descriptor of (N, D) with blocks (BLOCK_M, BLOCK_K).
        weight_desc: descriptor of (S * L, D) with blocks (BLOCK_N, BLOCK_K).
        row, latent: where the tile starts. Numbers outside the matrices count as 0; a tile may
            reach into the next stack.
        dim: D.

    """
    scores = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, dim, BLOCK_K):
        a, b = x_desc.load([row, start]), weight_desc.load([latent, start])
        scores = tl.dot(a, b.T, scores, input_precision="ieee")
    return scores


@triton.jit
def ordered(scores):
    """Return int32 that compare as the scores do. NaN is largest; the two zeros are equal."""
    bits = tl.where(scores == 0, 0.0, scores).to(tl.int32, bitcast=True)
    bits = tl.where(scores != scores, NAN_BITS, bits)
    return bits ^ ((bits >> 31) & INDEX_BITS)


@triton.jit
def score_of_ordered(order):
    """Return the float32 scores of `ordered`."""
    return (order ^ ((order >> 31) & INDEX_BITS)).to(tl.float32, bitcast=True)


@triton.jit
def key_of(order, index):
    """Return the int64 keys; the head of this file says what they are."""
    key = (order.to(tl.int64) << 32) | (index ^ INDEX_BITS).to(tl.int64)
    return tl.where(order == LEAST, order.to(tl.int64) << 32, key)


@triton.jit
def with_slack(
    scores, row_slack_ptr, latent_slack_ptr, scale_ptr, rows, latents, row_inside, latent_inside
):
    """Turn a scan's scores into proposals if there is slack: see bound.Slack."""
    if row_slack_ptr is not None:
        of_row = tl.load(row_slack_ptr + rows, mask=row_inside, other=0.0)
        of_latent = tl.load(latent_slack_ptr + latents, mask=latent_inside, other=0.0)
        scale = tl.load(scale_ptr + rows, mask=row_inside, other=0.0)
        scores = scores * scale[:, None] + of_row[:, None] * of_latent[None, :]
    return scores


@triton.jit
def eligible_order(
    scores, row_slack_ptr, latent_slack_ptr, scale_ptr, bias_ptr, mask_ptr, floor_ptr,
    rows, cols, stack, row_count, latents,
):  # fmt: skip
    """Return the ordered scores of the stack's latents (rows, cols), LEAST if not eligible."""
    own = cols < latents
    stacked = stack * latents + cols
    inside = rows < row_count
    scores = with_slack(
        scores, row_slack_ptr, latent_slack_ptr, scale_ptr, rows, stacked, inside, own
    )
    if bias_ptr is not None:
        scores += tl.load(bias_ptr + stacked, mask=own, other=0.0).to(tl.float32)[None, :]
    limit = tl.full((rows.shape[0],), float("-inf"), tl.float32)
    if floor_ptr is not None:
        limit = tl.load(floor_ptr + rows, mask=inside, other=float("inf"))
    allowed = own
    if mask_ptr is not None:
        allowed = own & (tl.load(mask_ptr + stacked, mask=own, other=0) != 0)
    eligible = ((scores > limit[:, None]) | (scores != scores)) & allowed[None, :]
    return tl.where(eligible, ordered(scores), LEAST)


@triton.jit
def keep_best(order, keys_ptr, rows, groups, row_count, group_count, GROUP: tl.constexpr,
              KEPT: tl.constexpr):  # fmt: skip
    """Write the KEPT best keys of each row's groups.

    Args:
        order: (rows, groups * GROUP) int32: ordered scores or LEAST.
        keys_ptr: (row_count, group_count, KEPT) int64, written: each group's keys descend.
        rows: each row's place in keys_ptr; places from row_count on are not written.
        groups: the numbers of these groups of latents.

    """
    order = tl.reshape(order, (rows.shape[0], groups.shape[0], GROUP))
    member = tl.arange(0, GROUP)[None, None, :]
    places = rows.to(tl.int64)[:, None] * group_count + groups[None, :]
    inside = (rows < row_count)[:, None] & (groups < group_count)[None, :]
    # Two plain reductions, of the score and of the first member that has it, take fewer registers
    # than one of packed keys.
    for place in tl.static_range(KEPT):
        best = tl.max(order, 2)
        chosen = tl.min(tl.where(order == best[:, :, None], member, GROUP), 2)
        order = tl.where(member == chosen[:, :, None], LEAST, order)
        key = key_of(best, groups[None, :] * GROUP + chosen)
        tl.store(keys_ptr + places * KEPT + place, key, mask=inside)


@triton.jit(do_not_specialize=["row_count", "group_count"])
def scan_groups(
    x_ptr, weight_ptr, x_desc, weight_desc, row_slack_ptr, latent_slack_ptr, scale_ptr,
    bias_ptr, mask_ptr, floor_ptr, keys_ptr, row_count, latents, dim, group_count,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr, KEPT: tl.constexpr, BAND: tl.constexpr,
):  # fmt: skip
    """Write the KEPT best keys of every GROUP consecutive latents.

    linear.py says what for. With slack, bound.py has the proof.

    Args:
        x_ptr: (N, D); weight_ptr: (S * L, D). They are None where descriptors are given.
        x_desc: descriptor of x with blocks (BLOCK_M, BLOCK_K), or None.
        weight_desc: descriptor of the weight with blocks (BLOCK_N, BLOCK_K), or None.
        row_slack_ptr: (N,) float32; latent_slack_ptr: (S * L,) float32; scale_ptr: (N,) float32:
            see bound.Slack. All are None without slack.
        bias_ptr: (S * L,) or None; mask_ptr: (S * L,) bool or None.
        floor_ptr: (N,) float32.
        keys_ptr: (N, S, group_count, KEPT) int64, written: each group's keys descend.
        row_count: N.
        latents: L.
        dim: D.
        group_count: ceil(L / GROUP).

    """
    stack = tl.program_id(1)
    row_tiles, col_tiles = tl.cdiv(row_count, BLOCK_M), tl.cdiv(latents, BLOCK_N)
    row_tile, col_tile = tile_of_program(tl.program_id(0), row_tiles, col_tiles, BAND)
    rows = row_tile * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = col_tile * BLOCK_N + tl.arange(0, BLOCK_N)
    if x_desc is not None:
        scores = described_scores(
            x_desc, weight_desc, row_tile * BLOCK_M, stack * latents + col_tile * BLOCK_N, dim,
            BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
    else:
        stacked, last = stack * latents + cols, stack * latents + latents
        scores = scores_of_tile(
            x_ptr, weight_ptr, rows, stacked, row_count, last, dim, BLOCK_M, BLOCK_N, BLOCK_K
        )
    order = eligible_order(
        scores, row_slack_ptr, latent_slack_ptr, scale_ptr, bias_ptr, mask_ptr, floor_ptr,
        rows, cols, stack, row_count, latents,
    )  # fmt: skip
    groups = col_tile * (BLOCK_N // GROUP) + tl.arange(0, BLOCK_N // GROUP)
    stacks = tl.num_programs(1)
    outputs = rows.to(tl.int64) * stacks + stack
    keep_best(order, keys_ptr, outputs, groups, row_count * stacks, group_count, GROUP, KEPT)


@triton.jit(do_not_specialize=["row_count", "row_groups", "col_groups"])
def scan_both(
    a_ptr, b_ptr, row_slack_ptr, col_slack_ptr, scale_ptr, row_keys_ptr, col_keys_ptr,
    row_count, col_count, dim, row_groups, col_groups,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr, KEPT: tl.constexpr, BAND: tl.constexpr,
):  # fmt: skip
    """Write the best keys of each row's groups of columns and of each column's groups of rows.

    It does what `scan_groups` does, for both sides of one tile.

    Args:
        a_ptr: (R, D); b_ptr: (C, D).
        row_slack_ptr: (R,) float32; col_slack_ptr: (C,) float32; scale_ptr: (R,) float32: see
            bound.Slack. All are None without slack.
        row_keys_ptr: (R, row_groups, KEPT) int64, written; col_keys_ptr: (C, col_groups, KEPT).
        row_count: R; col_count: C; dim: D.
        row_groups: ceil(C / GROUP); col_groups: ceil(R / GROUP).

    """
    row_tiles, col_tiles = tl.cdiv(row_count, BLOCK_M), tl.cdiv(col_count, BLOCK_N)
    row_tile, col_tile = tile_of_program(tl.program_id(0), row_tiles, col_tiles, BAND)
    rows = row_tile * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = col_tile * BLOCK_N + tl.arange(0, BLOCK_N)
    scores = scores_of_tile(
        a_ptr, b_ptr, rows, cols, row_count, col_count, dim, BLOCK_M, BLOCK_N, BLOCK_K
    )
    order = eligible_order(
        scores, row_slack_ptr, col_slack_ptr, scale_ptr, None, None, None,
        rows, cols, 0, row_count, col_count,
    )  # fmt: skip
    order = tl.where((rows < row_count)[:, None], order, LEAST)
    groups = col_tile * (BLOCK_N // GROUP) + tl.arange(0, BLOCK_N // GROUP)
    keep_best(order, row_keys_ptr, rows, groups, row_count, row_groups, GROUP, KEPT)
    groups = row_tile * (BLOCK_M // GROUP) + tl.arange(0, BLOCK_M // GROUP)
    keep_best(tl.trans(order), col_keys_ptr, cols, groups, col_count, col_groups, GROUP, KEPT)


@triton.jit(do_not_specialize=["row_count", "latents", "first"])
def score_all(
    x_ptr, weight_ptr, bias_ptr, mask_ptr, floor_ptr, keys_ptr, row_count, latents, first, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BAND: tl.constexpr,
):  # fmt: skip
    """Write the keys of all latents, (N, L) int64. Arguments as in `scan_groups`, for one stack.

    All scores have full precision, so that there is nothing to prove. `first` is the number of the
    first of these latents.
    """
    row_tiles, col_tiles = tl.cdiv(row_count, BLOCK_M), tl.cdiv(latents, BLOCK_N)
    row_tile, col_tile = tile_of_program(tl.program_id(0), row_tiles, col_tiles, BAND)
    rows = row_tile * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = col_tile * BLOCK_N + tl.arange(0, BLOCK_N)
    scores = scores_of_tile(
        x_ptr, weight_ptr, rows, cols, row_count, latents, dim, BLOCK_M, BLOCK_N, BLOCK_K
    )
    order = eligible_order(
        scores, None, None, None, bias_ptr, mask_ptr, floor_ptr,
        rows, cols, 0, row_count, latents,
    )  # fmt: skip
    inside = (rows < row_count)[:, None] & (cols < latents)[None, :]
    places = rows.to(tl.int64)[:, None] * latents + cols[None, :]
    tl.store(keys_ptr + places, key_of(order, first + cols[None, :]), mask=inside)
