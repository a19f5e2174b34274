"""Lists the Triton kernels and the configurations in which aot.py compiles them.

Block sizes come from the modules that launch the kernels, so that the same code is compiled here
and runs there. Importing this needs triton, whose interpreter must be off.
"""

from dataclasses import replace
from itertools import product
from typing import Any

import triton

from .aot_selections import proposals, selections
from .aot_types import DTYPES, PRICES, SCANNED, Build, D, K, L, N, integers, pointers
from .autoencode import triton as autoencode
from .decode import triton as decode
from .grads import triton as grads
from .topk.triton import above as above
from .topk.triton import pairs as pairs
from .topk.triton import rescore as rescoring
from .topk.triton import rounding as rounding
from .topk.triton import scan as scan
from .topk.triton import select as select
from .topk.triton import tiles as tiles
from .topk.triton.scheme import SCHEMES, Scheme


def builds(every: bool) -> list[Build]:
    """Return the configurations: every one that a call may choose, or the first of each kernel."""
    found = []
    for dtype in DTYPES if every else ("bf16", "fp32"):
        found += _scans(dtype, every) + _dense(dtype, every)
        found += _matches(dtype, every) + _thresholds(dtype)
    if every:
        found += _of_odd_widths(found)
    for dtype in DTYPES if every else ("bf16",):
        found += _decoders(dtype, every) + _gradients(dtype, every) + _autoencoders(dtype, every)
    return found + proposals(every) + selections(every)


def _of_odd_widths(scans: list[Build]) -> list[Build]:
    """List what widths that are not multiples of 16 take in place of the tiles for all GPUs."""
    return [
        replace(scan, name=f"{scan.name} odd", odd=(*scan.odd, "dim"),
                constants={**scan.constants, "BLOCK_M": tiles.ODD_ROWS})
        for scan in scans
        if "BLOCK_M" in scan.constants and not scan.archs
        if scan.kernel != "scan_both" or int(scan.constants["GROUP"]) <= tiles.ODD_ROWS
    ]  # fmt: skip


def _scans(dtype: str, every: bool) -> list[Build]:
    """List the fused scans of linear_topk; the scans of float32 inputs propose."""
    slack = _slack(dtype, "latent")
    read = SCANNED[dtype]
    common = slack | pointers(bias=dtype, floor="fp32", keys="i64")
    common |= integers("row_count latents dim group_count")
    masks: list[dict[str, str]] = [{}, pointers(mask="u1")] if every else [{}]
    found = []
    cuts = _tiles("linear_topk", every)
    schemes = _schemes(min(tile.cols for tile in cuts), every)
    for tile, scheme, mask in product(cuts, schemes, masks):
        if mask and dtype == "fp32" and tile.archs:  # plan.py takes the tile for all GPUs
            continue
        named = f"{_named(dtype, tile)} {scheme.kept} of {scheme.group}"
        found.append(Build(
            f"scan_groups {named}{' mask' if mask else ''}", "scan_groups",
            _matrices(read, tile) | common | mask,
            _cut(tile) | {"GROUP": scheme.group, "KEPT": scheme.kept, "BAND": tiles.BAND},
            tile.warps, tile.stages, "half product", 2.0 * N * L * D,
            (N + L) * D * DTYPES[read] + 8.0 * N * scheme.keys(L), (),
            tile.archs,
        ))  # fmt: skip
    return found


def _dense(dtype: str, every: bool) -> list[Build]:
    """List the scans that score everything, for rows that were not proved."""
    tile = tiles.FLOAT_TILE if dtype == "fp32" else tiles.HALF_TILES["linear_topk"][-1]
    signature = pointers(x=dtype, weight=dtype, bias=dtype, floor="fp32", keys="i64")
    signature |= integers("row_count latents first dim")
    masks: list[dict[str, str]] = [{}, pointers(mask="u1")] if every else [{}]
    return [
        Build(
            f"score_all {_named(dtype, tile)}{' mask' if mask else ''}", "score_all",
            signature | mask, _cut(tile) | {"BAND": tiles.BAND}, tile.warps, tile.stages,
            "product" if dtype == "fp32" else "half product", 2.0 * N * L * D,
            (N + L) * D * DTYPES[dtype] + 8.0 * N * L,
        )
        for mask in masks
    ]  # fmt: skip


def _matches(dtype: str, every: bool) -> list[Build]:
    read = SCANNED[dtype]
    sides = pointers(a=read, b=read) | _slack(dtype, "col")
    sizes = integers("row_count col_count dim")
    flops, inputs = 2.0 * L * L * D, 2.0 * L * D * DTYPES[read]
    found = []
    cuts = _tiles("mutual_topk", every)
    for tile, scheme in ((t, s) for t in cuts for s in _schemes(min(t.rows, t.cols), every)):
        found.append(Build(
            f"scan_both {_named(dtype, tile)} {scheme.kept} of {scheme.group}", "scan_both",
            sides | pointers(row_keys="i64", col_keys="i64") | sizes
            | integers("row_groups col_groups"),
            _cut(tile) | {"GROUP": scheme.group, "KEPT": scheme.kept, "BAND": tiles.BAND},
            tile.warps, tile.stages, "half product", flops, inputs + 16.0 * L * scheme.keys(L),
            (), tile.archs,
        ))  # fmt: skip
    lists = pointers(row_low="fp32", col_low="fp32", blocks="i64", pairs="i64", count="i64")
    lists |= integers("capacity") | sizes
    exact = {} if dtype == "fp32" else PRICES
    for tile in _tiles("pairs_above", every):
        found.append(Build(
            f"list_pairs {_named(dtype, tile)}", "list_pairs", sides | lists | exact,
            _cut(tile), tile.warps, tile.stages, "half product", flops, inputs, (),
            tile.archs,
        ))  # fmt: skip
    return found + (_full_pairs(lists, flops, inputs) if dtype == "fp32" else [])


def _thresholds(dtype: str) -> list[Build]:
    """List the kernels of linear_above."""
    tile, read = tiles.HALF_TILES["pairs_above"][-1], SCANNED[dtype]
    lists = pointers(x=read, weight=read, bias=dtype, threshold="fp32", pairs="i64", count="i64")
    lists |= pointers(scores="fp32") if dtype != "fp32" else _slack(dtype, "latent")
    found = [Build(
        f"list_above {_named(dtype, tile)}", "list_above",
        lists | integers("capacity row_count latents dim"), _cut(tile) | {"BAND": tiles.BAND},
        tile.warps, tile.stages, "half product", 2.0 * N * L * D, (N + L) * D * DTYPES[read],
    )]  # fmt: skip
    if dtype != "fp32":
        return found
    own = pointers(x="fp32", weight="fp32", bias="fp32", threshold="fp32", pairs="i64")
    return [*found, Build(
        "score_listed fp32", "score_listed",
        own | pointers(scores="fp32", above="i8") | integers("count latents dim"),
        {"BLOCK_P": pairs.PAIRS, "BLOCK_K": pairs.DEPTH}, pairs.WARPS, 3, "gather",
        2.0 * N * K * D, 8.0 * N * K * D,
    )]  # fmt: skip


def _full_pairs(lists: dict[str, str], flops: float, inputs: float) -> list[Build]:
    """List the other kernels of pairs_above for float32 inputs, besides the scan in float16."""
    tile = tiles.PAIRS_FLOAT_TILE
    sides = pointers(a="fp32", b="fp32")
    return [
        Build(f"list_pairs full {_named('fp32', tile)}", "list_pairs", sides | lists | PRICES,
              _cut(tile), tile.warps, tile.stages, "product", flops,
              inputs),
        Build("confirm_pairs fp32", "confirm_pairs",
              sides | PRICES | pointers(pairs="i64", above="i8")
              | integers("count col_count dim"),
              {"BLOCK_P": pairs.PAIRS, "BLOCK_K": pairs.DEPTH}, pairs.WARPS, 3, "gather",
              2.0 * L * D, 8.0 * L * D),
    ]  # fmt: skip


def _tiles(op: str, every: bool) -> tuple[tiles.Tile, ...]:
    listed = tiles.HALF_TILES[op]
    firsts = [next(tile for tile in listed if arch in tile.archs or not tile.archs)
              for arch in tiles.LISTED]  # fmt: skip
    return tuple(tile for tile in listed if every or tile in firsts)


def _schemes(widest: int, every: bool) -> list[Scheme]:
    fitting = [scheme for scheme in SCHEMES if scheme.group <= widest]
    return fitting if every else fitting[:1]


def _cut(tile: tiles.Tile) -> dict[str, int | str]:
    return {"BLOCK_M": tile.rows, "BLOCK_N": tile.cols, "BLOCK_K": tile.depth}


def _named(dtype: str, tile: tiles.Tile) -> str:
    """Return a name of a tile. No two builds have the same name."""
    described = " described" if tile.described else ""
    return f"{dtype} {tile.rows}x{tile.cols} w{tile.warps} s{tile.stages}{described}"


def _matrices(dtype: str, tile: tiles.Tile) -> dict[str, str]:
    """Return the types of the matrices of `scan_groups`: pointers or descriptors."""
    if not tile.described:
        return pointers(x=dtype, weight=dtype)
    blocks = {"x_desc": tile.rows, "weight_desc": tile.cols}
    return {name: f"tensordesc<{dtype}[{n}, {tile.depth}]>" for name, n in blocks.items()}


def _slack(dtype: str, other: str) -> dict[str, str]:
    if dtype != "fp32":
        return {}
    return pointers(**{"row_slack": "fp32", f"{other}_slack": "fp32", "scale": "fp32"})


def _decoders(dtype: str, every: bool) -> list[Build]:
    sizes = integers("k latents dim")
    lists = pointers(values=dtype, indices="i64", weight=dtype)
    cut = {"BLOCK": decode.BLOCK, "PLACES": decode.PLACES}
    gathered, row = float(N * K * D * DTYPES[dtype]), float(N * D * DTYPES[dtype])
    written = N * D * 4.0
    jobs = (
        ("decode_rows", lists | pointers(bias=dtype, out=dtype), gathered + row),
        ("dot_rows", pointers(left=dtype, indices="i64", weight=dtype, out=dtype),
         gathered + row),
        ("error_rows",
         lists | pointers(bias=dtype, target=dtype, scale="fp32", squares="fp32", g="fp32",
                           d_values=dtype), gathered + row + written),
    )  # fmt: skip
    # Rows have k places each, or as many as offsets say.
    offsets: list[dict[str, str]] = [{}, pointers(offsets="i64")] if every else [{}]
    return [
        Build(f"{kernel} {dtype}{' rows' if own else ''}", kernel, signature | own | sizes, cut,
              decode.WARPS, 3, "gather", 4.0 * N * K * D, moved, ("k", "latents"))
        for (kernel, signature, moved), own in product(jobs, offsets)
    ]  # fmt: skip


def _autoencoders(dtype: str, every: bool) -> list[Build]:
    keys = pointers(chosen="i64", unseen="i64", proved="u1", redone="i64")
    rest = pointers(values=dtype, indices="i64", x=dtype, weight=dtype, bias=dtype, centre="fp32")
    rest |= pointers(recon=dtype, squares="fp32", deviations="fp32")
    rest |= integers("row_count count chunks k latents dim")
    moved = float(N * (K + 2) * D * DTYPES[dtype])
    # The kernel that takes no keys ranks nothing: it is the same for all k.
    powers = [1 << i for i in range(select.MOST.bit_length())]
    sizes = [k for k in powers if k >= autoencode.LEAST_K] if every else [K]
    variants = [(keys, k) for k in sizes] + ([({}, autoencode.LEAST_K)] if every else [])
    return [
        Build(
            f"finish_rows {dtype} {f'k {k}' if ranked else 'ranked'}", "finish_rows",
            ranked | rest,
            {"RANKED": select.ranked_at_once(k), "K": k, "NONE": scan.MISSING,
             "BLOCK": decode.BLOCK, "PLACES": decode.PLACES},
            decode.WARPS, 3, "gather", 4.0 * N * K * D, moved, ("k", "latents"),
        )
        for ranked, k in variants
    ]  # fmt: skip


def _gradients(dtype: str, every: bool) -> list[Build]:
    cut = {"BLOCK": grads.BLOCK, "PLACES": grads.PLACES, "UNROLL": grads.UNROLL}
    signature = pointers(values=dtype, d_values=dtype, x=dtype, g=dtype)
    signature |= pointers(places="i64", rows="i64", starts="i64", stops="i64")
    signature |= pointers(dW_dec="fp32", dW_enc="fp32", db_enc="fp32") | integers("d_out d_in")
    moved = 2.0 * N * K * D * DTYPES[dtype] + 8.0 * L * D
    found = [
        Build(f"sum_segments {dtype}{' accumulate' if accumulate else ''}", "sum_segments",
              signature, cut | {"ACCUMULATE": accumulate}, grads.WARPS, 3, "gather",
              4.0 * N * K * D, moved)
        for accumulate in ((False, True) if every else (False,))
    ]  # fmt: skip
    if dtype == "bf16":  # once: add_pieces reads float32 sums, whatever the inputs' dtype
        found.append(Build(
            "add_pieces", "add_pieces",
            pointers(parts="fp32", out="fp32", latents="i64", counts="i64") | integers("dim"),
            {"BLOCK": grads.BLOCK}, grads.WARPS, 3, "gather", 0.0,
            4.0 * D * 2 * N * K / grads.PIECE,
        ))  # fmt: skip
    return found


def functions() -> dict[str, Any]:
    """Return all @triton.jit functions by their names."""
    return {
        name: function
        for module in (above, autoencode, decode, grads, pairs, rescoring, rounding, scan, select)
        for name, function in vars(module).items()
        if isinstance(function, triton.runtime.JITFunction)
    }
