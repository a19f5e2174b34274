"""The kernels and the configurations in which they are compiled ahead of time.

Sizes come from the modules that launch them, so that what is compiled here is what runs. Needs
triton, whose interpreter must be off.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import triton

from .autoencode import triton as autoencode
from .decode import triton as decode
from .grads import triton as grads
from .topk import triton_pairs as pairs
from .topk import triton_scan as scan
from .topk import triton_select as select
from .topk.triton_scheme import SCHEMES

N, D, L, K = 8192, 4096, 131_072, 64
"""What predicted times are for: rows, d_in, latents, active latents. Matches are of L x L."""

Kind = Literal["half product", "product", "gather", "other"]
DTYPES = {"bf16": 2, "fp16": 2, "fp32": 4}  # bytes of a number


@dataclass(frozen=True)
class Build:
    """One kernel with one set of constants."""

    name: str
    kernel: str
    """Its function's name, a key of `functions`."""
    signature: dict[str, str]
    """Types of the arguments that are not constants."""
    constants: dict[str, int]
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


def builds(every: bool) -> list[Build]:
    """Return the configurations: every one that a call may choose, or the first of each kernel."""
    dtypes = list(DTYPES) if every else ["bf16"]
    found = []
    for dtype in dtypes:
        found += _scans(dtype, every) + _matches(dtype, every)
        found += _decoders(dtype) + _gradients(dtype, every) + _autoencoders(dtype, every)
    if not every:
        found += _scans("fp32", every)
    return found + _selections(every)


def _scans(dtype: str, every: bool) -> list[Build]:
    tiles = scan.FLOAT_TILES if dtype == "fp32" else scan.HALF_TILES
    schemes = SCHEMES if every else SCHEMES[:1]
    kind: Kind = "product" if dtype == "fp32" else "half product"
    common = {"x": f"*{dtype}", "weight": f"*{dtype}", "bias": f"*{dtype}", "floor": "*fp32",
              "keys": "*i64", "row_count": "i32", "latents": "i32", "dim": "i32"}  # fmt: skip
    inputs = (N + L) * D * DTYPES[dtype]
    found = []
    for tile in tiles if every else tiles[:1]:
        cut = {"BLOCK_M": tile.rows, "BLOCK_N": tile.cols, "BLOCK_K": tile.depth,
               "BAND": scan.BAND}  # fmt: skip
        size = f"{dtype} {tile.rows}x{tile.cols}"
        for scheme, mask in product(schemes, ({}, {"mask": "*i1"}) if every else ({},)):
            kept = N * L // scheme.group * scheme.kept
            found.append(Build(
                f"scan_groups {size} {scheme.kept} of {scheme.group}{' mask' if mask else ''}",
                "scan_groups", common | mask | {"group_count": "i32"},
                cut | {"GROUP": scheme.group, "KEPT": scheme.kept}, tile.warps, tile.stages, kind,
                2.0 * N * L * D, inputs + 8.0 * kept, ("row_count", "group_count"),
            ))  # fmt: skip
        found.append(Build(
            f"score_all {size}", "score_all", common, cut, tile.warps, tile.stages, kind,
            2.0 * N * L * D, inputs + 8.0 * N * L, ("row_count",),
        ))  # fmt: skip
    return found


def _matches(dtype: str, every: bool) -> list[Build]:
    tiles = scan.FLOAT_TILES if dtype == "fp32" else scan.HALF_TILES
    kind: Kind = "product" if dtype == "fp32" else "half product"
    sides = {"a": f"*{dtype}", "b": f"*{dtype}"}
    sizes = {"row_count": "i32", "col_count": "i32", "dim": "i32"}
    flops, inputs = 2.0 * L * L * D, 2.0 * L * D * DTYPES[dtype]
    found = []
    for tile in tiles if every else tiles[:1]:
        cut = {"BLOCK_M": tile.rows, "BLOCK_N": tile.cols, "BLOCK_K": tile.depth}
        size = f"{dtype} {tile.rows}x{tile.cols}"
        widest = min(tile.rows, tile.cols)
        schemes = [scheme for scheme in SCHEMES if scheme.group <= widest]
        for scheme in schemes if every else schemes[:1]:
            found.append(Build(
                f"scan_both {size} {scheme.kept} of {scheme.group}", "scan_both",
                sides | {"row_keys": "*i64", "col_keys": "*i64"} | sizes
                | {"row_groups": "i32", "col_groups": "i32"},
                cut | {"GROUP": scheme.group, "KEPT": scheme.kept, "BAND": scan.BAND},
                tile.warps, tile.stages, kind, flops,
                inputs + 16.0 * L * L / scheme.group * scheme.kept, ("row_groups", "col_groups"),
            ))  # fmt: skip
        found.append(Build(
            f"list_pairs {dtype} {tile.rows}x{tile.cols // 2}", "list_pairs",
            sides | {"row_price": "*fp64", "col_price": "*fp64", "margin": "*fp64",
                     "blocks": "*i64", "pairs": "*i64", "count": "*i64", "capacity": "i64"} | sizes,
            cut | {"BLOCK_N": tile.cols // 2}, tile.warps, tile.stages, kind, flops, inputs,
            ("capacity",),
        ))  # fmt: skip
    return found


def _selections(every: bool) -> list[Build]:
    scheme = SCHEMES[0]
    candidates = L // scheme.group * scheme.kept
    found = []
    for k in _powers(every):
        found.append(Build(
            f"choose_best k {k}", "choose_best",
            {"keys": "*i64", "chosen": "*i64", "unseen": "*i64", "row_count": "i32",
             "count": "i32", "k": "i32"},
            {"KEPT": scheme.kept, "ROWS": 1, "BLOCK": select.CHUNK, "K": k, "NONE": scan.MISSING},
            8, 3, "other", 0.0, 8.0 * N * (candidates + K), ("row_count", "k"),
        ))  # fmt: skip
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
    sizes = [k for k in _powers(every) if k >= autoencode.LEAST_K]
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


def _powers(every: bool) -> list[int]:
    """Return the sizes that a choice of k keys may have in a kernel, or the first."""
    return [1 << i for i in range(select.MOST.bit_length())] if every else [K]


def _gradients(dtype: str, every: bool) -> list[Build]:
    number = f"*{dtype}"
    cut = {"BLOCK": grads.BLOCK, "PLACES": grads.PLACES}
    signature = {"values": number, "d_values": number, "x": number, "g": number, "places": "*i64",
                 "starts": "*i64", "stops": "*i64", "dW_dec": "*fp32", "dW_enc": "*fp32",
                 "db_enc": "*fp32", "k": "i32", "dim": "i32"}  # fmt: skip
    moved = 2.0 * N * K * D * DTYPES[dtype] + 8.0 * L * D
    found = [
        Build(f"sum_segments {dtype}{' accumulate' if accumulate else ''}", "sum_segments",
              signature, cut | {"ACCUMULATE": accumulate}, grads.WARPS, 3, "gather",
              4.0 * N * K * D, moved, ("k",))
        for accumulate in ((False, True) if every else (False,))
    ]  # fmt: skip
    if dtype == "bf16":  # its own numbers are float32 always
        found.append(Build(
            "add_pieces", "add_pieces",
            {"parts": "*fp32", "out": "*fp32", "first_of": "*i64", "counts": "*i64", "dim": "i32"},
            {"BLOCK": grads.BLOCK}, grads.WARPS, 3, "gather", 0.0,
            4.0 * D * 2 * N * K / grads.PIECE,
        ))  # fmt: skip
    return found


def functions() -> dict[str, Any]:
    """Return all @triton.jit functions by their names."""
    return {
        name: function
        for module in (autoencode, decode, grads, pairs, scan, select)
        for name, function in vars(module).items()
        if isinstance(function, triton.runtime.JITFunction)
    }
