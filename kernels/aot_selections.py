"""Lists the kernels that round, choose, rank and score keys, as aot_builds.py lists the others."""

from .aot_types import Build, D, K, L, N, integers, pointers
from .topk.triton import bound, rounding, scan, select
from .topk.triton import rescore as rescoring
from .topk.triton.scheme import SCHEMES


def proposals(every: bool) -> list[Build]:
    """List the kernels that round float32 inputs, and those that score proposals."""
    found = [Build(
        "round_rows fp32", "round_rows",
        pointers(x="fp32", latent_scale="fp32", half="fp16", slack="fp32", scale="fp32")
        | integers("row_count dim") | {"factor": "fp32", "tiny": "fp32"},
        {"MOST_SCALED": bound.MOST_SCALED, "LARGEST": bound.LARGEST, "ROWS": rounding.ROWS,
         "BLOCK": rounding.BLOCK},
        rounding.WARPS, 3, "gather", 0.0, N * D * 6.0,
    )]  # fmt: skip
    own = pointers(x="fp32", weight="fp32", bias="fp32", floor="fp32")
    own |= pointers(proposals="i64", keys="i64", scored="i64")
    own |= integers("row_count first stop count stacks latents dim")
    for limits in (1, 16, K, select.MOST) if every else (K,):
        found.append(Build(
            f"rescore fp32 k {limits}", "rescore", own,
            {"ROWS": rescoring.ROWS, "BLOCK_C": rescoring.AT_ONCE, "BLOCK_K": rescoring.DEPTH,
             "LIMITS": limits, "NONE": scan.MISSING},
            rescoring.WARPS, 3, "gather", 2.0 * N * 2 * K * D, N * 2 * K * D * 4.0,
            ("count", "latents"),
        ))  # fmt: skip
    return found


def selections(every: bool) -> list[Build]:
    """List the kernels that choose and rank keys."""
    scheme = SCHEMES[0]
    candidates = L // scheme.group * scheme.kept
    found = []
    for k in [1 << i for i in range(select.LARGEST_RANKED.bit_length())] if every else [K]:
        of_groups = (
            [(pointers(unseen="i64"), ""), ({}, " again")]
            if every
            else [(pointers(unseen="i64"), "")]
        )
        for unseen, again in of_groups:
            found.append(Build(
                f"choose_best k {k}{again}", "choose_best",
                pointers(keys="i64", chosen="i64") | unseen
                | integers("row_count count k offset first_chunk chunks"),
                {"KEPT": scheme.kept, "ROWS": 1, "BLOCK": select.CHUNK, "K": k,
                 "NONE": scan.MISSING},
                8, 3, "other", 0.0, 8.0 * N * (candidates + K), ("k",),
            ))  # fmt: skip
        cut = {"ROWS": max(1, select.MOST // k), "BLOCK": select.ranked_at_once(k), "K": k,
               "NONE": scan.MISSING}  # fmt: skip
        found.append(Build(
            f"order_chosen k {k}", "order_chosen",
            pointers(chosen="i64", unseen="i64", ordered="i64", bound="i64")
            | integers("row_count count chunks"),
            cut, 4, 3, "other", 0.0, 16.0 * N * K, ("count",),
        ))  # fmt: skip
        if k <= select.MOST:
            found += _ranks(k, cut, every)
    return found


def _ranks(k: int, cut: dict[str, int], every: bool) -> list[Build]:
    lists = pointers(chosen="i64", indices="i64")
    proof = pointers(unseen="i64", proved="u1", redone="i64")
    sizes = integers("row_count count chunks k stacks stride")
    variants = [("bf16", proof)] + ([("fp16", proof), ("fp32", proof), ("fp32", {})] * every)
    return [
        Build(
            f"rank_chosen {dtype} k {k}{'' if proved else ' of all'}", "rank_chosen",
            lists | pointers(values=dtype) | proved | sizes, cut, 4, 3, "other", 0.0, 20.0 * N * K,
            ("k",),
        )
        for dtype, proved in variants
    ]  # fmt: skip
