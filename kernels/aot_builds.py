"""The kernels and the configurations in which they are compiled ahead of time.

Sizes come from the modules that launch them, so that what is compiled here is what runs. Needs
triton, whose interpreter must be off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import torch
import triton

from .autoencode import triton as autoencode
from .decode import triton as decode
from .grads import triton as grads
from .topk.triton import chunked as chunked
from .topk.triton import pairs as pairs
from .topk.triton import rescore as rescoring
from .topk.triton import scan as scan
from .topk.triton import select as select
from .topk.triton import tiles as tiles
from .topk.triton.scheme import SCHEMES, Scheme

N, D, L, K = 8192, 4096, 131_072, 64
"""What predicted times are for: rows, d_in, latents, active latents. Matches are of L x L."""

Kind = Literal["half product", "product", "gather", "other"]
DTYPES = {"bf16": 2, "fp16": 2, "fp32": 4}  # bytes of a number
SCANNED = {"bf16": "bf16", "fp16": "fp16", "fp32": "fp16"}
"""What a scan of inputs of a dtype reads."""
SIZES = {"row_count": "i32", "latents": "i32", "dim": "i32"}
PRICES = {"row_price": "*fp64", "col_price": "*fp64", "margin": "*fp64"}


@dataclass(frozen=True)
class Build:
    """One kernel with one set of constants."""

    name: str
    kernel: str
    """Its function's name, a key of `functions`."""
    signature: dict[str, str]
    """Types of the arguments that are not constants."""
    constants: Mapping[str, int | str]
    """Arguments that stand in neither are None."""
    warps: int
    stages: int
    kind: Kind
    flops: float
    """Operations at the shape above."""
    moved: float
    """Bytes of memory read and written at the shape above."""
    odd: tuple[str, ...] = field(default=())
    """Integers that need not be multiples of 16."""
    archs: tuple[int, ...] = ()
    """Compute capabilities that it is for; () for all."""


def builds(every: bool) -> list[Build]:
    """Return the configurations: every one that a call may choose, or the first of each kernel."""
    found = []
    for dtype in DTYPES if every else ("bf16", "fp32"):
        found += _scans(dtype, every) + _dense(dtype) + _proposals(dtype, every)
        found += _matches(dtype, every)
    for dtype in DTYPES if every else ("bf16",):
        found += _decoders(dtype) + _gradients(dtype, every) + _autoencoders(dtype, every)
    return found + _selections(every)


def _scans(dtype: str, every: bool) -> list[Build]:
    """List the fused scans of linear_topk; those of float32 inputs propose."""
    slack = _slack(dtype, "latent")
    read = SCANNED[dtype]
    common = {"x": f"*{read}", "weight": f"*{read}", **slack, "bias": f"*{dtype}",
              "floor": "*fp32", "keys": "*i64", **SIZES, "group_count": "i32"}  # fmt: skip
    masks: list[dict[str, str]] = [{}, {"mask": "*i1"}] if every else [{}]
    found = []
    cuts = _tiles("linear_topk", every)
    schemes = _schemes(min(tile.cols for tile in cuts), every)
    for tile, scheme, mask in product(cuts, schemes, masks):
        named = f"{_named(dtype, tile)} {scheme.kept} of {scheme.group}"
        found.append(Build(
            f"scan_groups {named}{' mask' if mask else ''}", "scan_groups",
            common | mask | _described(read, tile),
            _cut(tile) | {"GROUP": scheme.group, "KEPT": scheme.kept, "BAND": tiles.BAND,
                          "DESCRIBED": tile.described},
            tile.warps, tile.stages, "half product", 2.0 * N * L * D,
            (N + L) * D * DTYPES[read] + _keys(N, L, scheme), ("row_count", "group_count"),
            tile.archs,
        ))  # fmt: skip
    return found


def _dense(dtype: str) -> list[Build]:
    """List the scans of rows that were not proved."""
    tile = tiles.full_tile("linear_topk", torch.float32 if dtype == "fp32" else torch.bfloat16)
    signature = {"x": f"*{dtype}", "weight": f"*{dtype}", "bias": f"*{dtype}", "floor": "*fp32",
                 "keys": "*i64", **SIZES}  # fmt: skip
    return [Build(
        f"score_all {_named(dtype, tile)}", "score_all", signature,
        _cut(tile) | {"BAND": tiles.BAND}, tile.warps, tile.stages,
        "product" if dtype == "fp32" else "half product", 2.0 * N * L * D,
        (N + L) * D * DTYPES[dtype] + 8.0 * N * L, ("row_count",),
    )]  # fmt: skip


def _proposals(dtype: str, every: bool) -> list[Build]:
    """List the filters of other products' scores, and the re-scores of proposals."""
    filtered = {"scores": "*fp32", **_slack("fp32", "latent"), "bias": f"*{dtype}",
                "floor": "*fp32", "keys": "*i64", "row_count": "i32", "first": "i32",
                "latents": "i32", "width": "i32", "group_count": "i32", "stack": "i32",
                "stacks": "i32"}  # fmt: skip
    own = {"x": f"*{dtype}", "weight": f"*{dtype}", "bias": f"*{dtype}", "floor": "*fp32",
           "proposals": "*i64", "limits": "*i64", "keys": "*i64", "row_count": "i32",
           "count": "i32", "stacks": "i32", "latents": "i32", "dim": "i32"}  # fmt: skip
    masks: list[dict[str, str]] = [{}, {"mask": "*i1"}] if every else [{}]
    found = []
    for scheme, mask in product(_schemes(chunked.FILTER_COLS, every), masks):
        found.append(Build(
            f"filter_groups {dtype} {scheme.kept} of {scheme.group}{' mask' if mask else ''}",
            "filter_groups", filtered | mask,
            {"BLOCK_M": chunked.FILTER_ROWS, "BLOCK_N": chunked.FILTER_COLS,
             "GROUP": scheme.group, "KEPT": scheme.kept},
            chunked.WARPS, 3, "other", 0.0, 4.0 * N * L + _keys(N, L, scheme),
            ("row_count", "first", "latents", "width", "group_count", "stack", "stacks"),
        ))  # fmt: skip
    found.append(Build(
        f"rescore {dtype}", "rescore", own,
        {"ROWS": rescoring.ROWS, "BLOCK_C": rescoring.AT_ONCE, "BLOCK_K": rescoring.DEPTH,
         "NONE": scan.MISSING},
        rescoring.WARPS, 3, "gather", 2.0 * N * 2 * K * D, N * 2 * K * D * float(DTYPES[dtype]),
        ("row_count", "count", "stacks", "latents"),
    ))  # fmt: skip
    return found


def _matches(dtype: str, every: bool) -> list[Build]:
    read = SCANNED[dtype]
    sides = {"a": f"*{read}", "b": f"*{read}", **_slack(dtype, "col")}
    sizes = {"row_count": "i32", "col_count": "i32", "dim": "i32"}
    flops, inputs = 2.0 * L * L * D, 2.0 * L * D * DTYPES[read]
    found = []
    cuts = _tiles("mutual_topk", every)
    for tile, scheme in ((t, s) for t in cuts for s in _schemes(min(t.rows, t.cols), every)):
        found.append(Build(
            f"scan_both {_named(dtype, tile)} {scheme.kept} of {scheme.group}", "scan_both",
            sides | {"row_keys": "*i64", "col_keys": "*i64"} | sizes
            | {"row_groups": "i32", "col_groups": "i32"},
            _cut(tile) | {"GROUP": scheme.group, "KEPT": scheme.kept, "BAND": tiles.BAND},
            tile.warps, tile.stages, "half product", flops, inputs + 2 * _keys(L, L, scheme),
            ("row_groups", "col_groups"), tile.archs,
        ))  # fmt: skip
    lists = {"row_low": "*fp32", "col_low": "*fp32", "blocks": "*i64", "pairs": "*i64",
             "count": "*i64", "capacity": "i32"} | sizes  # fmt: skip
    exact = {} if dtype == "fp32" else PRICES
    for tile in _tiles("pairs_above", every):
        found.append(Build(
            f"list_pairs {_named(dtype, tile)}", "list_pairs", sides | lists | exact,
            _cut(tile), tile.warps, tile.stages, "half product", flops, inputs, ("capacity",),
            tile.archs,
        ))  # fmt: skip
    return found + (_full_pairs(lists, flops, inputs) if dtype == "fp32" else [])


def _full_pairs(lists: dict[str, str], flops: float, inputs: float) -> list[Build]:
    """List what pairs_above does with float32 inputs besides the scan in float16."""
    tile = tiles.PAIRS_FLOAT_TILE
    sides = {"a": "*fp32", "b": "*fp32"}
    return [
        Build(f"list_pairs full {_named('fp32', tile)}", "list_pairs", sides | lists | PRICES,
              _cut(tile), tile.warps, tile.stages, "product", flops,
              inputs, ("capacity",)),
        Build("confirm_pairs fp32", "confirm_pairs",
              sides | PRICES | {"pairs": "*i64", "above": "*i8", "count": "i32",
                                "col_count": "i32", "dim": "i32"},
              {"BLOCK_P": pairs.PAIRS, "BLOCK_K": pairs.DEPTH}, pairs.WARPS, 3, "gather",
              2.0 * L * D, 8.0 * L * D, ("count", "col_count")),
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
    """Name a cut so that no two builds have one name."""
    described = " described" if tile.described else ""
    return f"{dtype} {tile.rows}x{tile.cols} w{tile.warps} s{tile.stages}{described}"


def _described(dtype: str, tile: tiles.Tile) -> dict[str, str]:
    """Return the types of the matrices of a scan that reads them by descriptors."""
    if not tile.described:
        return {}
    blocks = {"x": tile.rows, "weight": tile.cols}
    return {name: f"tensordesc<{dtype}[{n}, {tile.depth}]>" for name, n in blocks.items()}


def _slack(dtype: str, other: str) -> dict[str, str]:
    names = ("row_slack", f"{other}_slack", "scale")
    return dict.fromkeys(names, "*fp32") if dtype == "fp32" else {}


def _keys(rows: int, latents: int, scheme: Scheme) -> float:
    """Count the bytes of kept keys."""
    return 8.0 * rows * (latents // scheme.group) * scheme.kept


def _selections(every: bool) -> list[Build]:
    scheme = SCHEMES[0]
    candidates = L // scheme.group * scheme.kept
    largest = rescoring.MOST_PROPOSED
    found = []
    for k in [1 << i for i in range(largest.bit_length())] if every else [K]:
        found.append(Build(
            f"choose_best k {k}", "choose_best",
            {"keys": "*i64", "chosen": "*i64", "unseen": "*i64", "row_count": "i32",
             "count": "i32", "k": "i32"},
            {"KEPT": scheme.kept, "ROWS": 1, "BLOCK": select.CHUNK, "K": k, "NONE": scan.MISSING},
            8, 3, "other", 0.0, 8.0 * N * (candidates + K), ("row_count", "k"),
        ))  # fmt: skip
        if k > select.MOST:
            continue
        found.append(Build(
            f"rank_chosen k {k}", "rank_chosen",
            {"chosen": "*i64", "values": "*fp32", "indices": "*i64", "least": "*i64",
             "row_count": "i32", "k": "i32"},
            {"ROWS": select.MOST // k, "BLOCK": min(select.RANKED, k), "K": k,
             "NONE": scan.MISSING},
            4, 3, "other", 0.0, 20.0 * N * K, ("row_count", "k"),
        ))  # fmt: skip
    return found


def _decoders(dtype: str) -> list[Build]:
    number = f"*{dtype}"
    sizes = {"k": "i32", "latents": "i32", "dim": "i32"}
    lists = {"values": number, "indices": "*i64", "weight": number}
    cut = {"BLOCK": decode.BLOCK, "PLACES": decode.PLACES}
    gathered, row = float(N * K * D * DTYPES[dtype]), float(N * D * DTYPES[dtype])
    written = N * D * 4.0
    jobs = (
        ("decode_rows", lists | {"bias": number, "out": number}, gathered + row),
        ("dot_rows", {"left": number, "indices": "*i64", "weight": number, "out": number},
         gathered + row),
        ("error_rows",
         lists | {"bias": number, "target": number, "scale": "*fp32", "squares": "*fp32",
                  "g": "*fp32", "d_values": number}, gathered + row + written),
    )  # fmt: skip
    return [
        Build(f"{kernel} {dtype}", kernel, signature | sizes, cut, decode.WARPS, 3,
              "gather", 4.0 * N * K * D, moved, ("k", "latents"))
        for kernel, signature, moved in jobs
    ]  # fmt: skip


def _autoencoders(dtype: str, every: bool) -> list[Build]:
    number = f"*{dtype}"
    keys = {"chosen": "*i64", "least": "*i64"}
    rest = {"values": number, "indices": "*i64", "x": number, "weight": number, "bias": number,
            "centre": "*fp32", "recon": number, "squares": "*fp32", "deviations": "*fp32",
            "row_count": "i32", "k": "i32", "latents": "i32", "dim": "i32"}  # fmt: skip
    moved = float(N * (K + 2) * D * DTYPES[dtype])
    # Without keys there is nothing to rank: that kernel is the same for all k.
    powers = [1 << i for i in range(select.MOST.bit_length())]
    sizes = [k for k in powers if k >= autoencode.LEAST_K] if every else [K]
    variants = [(keys, k) for k in sizes] + ([({}, autoencode.LEAST_K)] if every else [])
    return [
        Build(
            f"finish_rows {dtype} {f'k {k}' if ranked else 'ranked'}", "finish_rows",
            ranked | rest,
            {"RANKED": min(select.RANKED, k), "K": k, "NONE": scan.MISSING,
             "BLOCK": decode.BLOCK, "PLACES": decode.PLACES},
            decode.WARPS, 3, "gather", 4.0 * N * K * D, moved, ("row_count", "k", "latents"),
        )
        for ranked, k in variants
    ]  # fmt: skip


def _gradients(dtype: str, every: bool) -> list[Build]:
    number = f"*{dtype}"
    cut = {"BLOCK": grads.BLOCK, "PLACES": grads.PLACES, "UNROLL": grads.UNROLL}
    signature = {"values": number, "d_values": number, "x": number, "g": number, "places": "*i64",
                 "rows": "*i64", "starts": "*i64", "stops": "*i64", "dW_dec": "*fp32",
                 "dW_enc": "*fp32", "db_enc": "*fp32", "dim": "i32"}  # fmt: skip
    moved = 2.0 * N * K * D * DTYPES[dtype] + 8.0 * L * D
    found = [
        Build(f"sum_segments {dtype}{' accumulate' if accumulate else ''}", "sum_segments",
              signature, cut | {"ACCUMULATE": accumulate}, grads.WARPS, 3, "gather",
              4.0 * N * K * D, moved)
        for accumulate in ((False, True) if every else (False,))
    ]  # fmt: skip
    if dtype == "bf16":  # its own numbers are float32 always
        found.append(Build(
            "add_pieces", "add_pieces",
            {"parts": "*fp32", "out": "*fp32", "latents": "*i64", "counts": "*i64", "dim": "i32"},
            {"BLOCK": grads.BLOCK}, grads.WARPS, 3, "gather", 0.0,
            4.0 * D * 2 * N * K / grads.PIECE,
        ))  # fmt: skip
    return found


def functions() -> dict[str, Any]:
    """Return all @triton.jit functions by their names."""
    return {
        name: function
        for module in (autoencode, chunked, decode, grads, pairs, rescoring, scan, select)
        for name, function in vars(module).items()
        if isinstance(function, triton.runtime.JITFunction)
    }
