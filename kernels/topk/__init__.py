"""The scans: they find the entries of x @ weight.T + bias that matter, and never store it."""

from .api import linear_above, linear_topk, mutual_topk, pairs_above
from .packed import PackedWeight, pack
from .results import CSR, MutualTopK, Pairs, ScanStats, TopK

__all__ = [
    "CSR",
    "MutualTopK",
    "PackedWeight",
    "Pairs",
    "ScanStats",
    "TopK",
    "linear_above",
    "linear_topk",
    "mutual_topk",
    "pack",
    "pairs_above",
]
