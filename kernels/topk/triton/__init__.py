"""The scans in Triton, on a GPU. linear.py says how they work; bound.py has the proof."""

from .above import linear_above
from .linear import linear_topk
from .mutual import mutual_topk
from .pairs import pairs_above

__all__ = ["linear_above", "linear_topk", "mutual_topk", "pairs_above"]
