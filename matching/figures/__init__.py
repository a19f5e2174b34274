"""Every figure of the paper, each with the table of the numbers in it."""

from .drawing import Drawing, Table
from .registry import OF_SEEDS, draw

__all__ = ["OF_SEEDS", "Drawing", "Table", "draw"]
