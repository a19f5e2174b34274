"""The scans on a GPU, in Triton: `linear` says how they work, `bound` proves what they propose."""

from .linear import linear_topk
from .mutual import mutual_topk
from .pairs import pairs_above

__all__ = ["linear_topk", "mutual_topk", "pairs_above"]
