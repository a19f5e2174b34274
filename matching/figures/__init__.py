"""Every figure of the paper, each with the table of the numbers in it."""

from .drawing import Drawing, Table
from .registry import draw

__all__ = ["Drawing", "Table", "draw"]
