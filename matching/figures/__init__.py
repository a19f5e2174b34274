"""Every figure of the paper, each with the table of the numbers in it."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names

if TYPE_CHECKING:
    from .drawing import Drawing, Table
    from .registry import draw
else:
    __getattr__ = lazy_names(
        __name__,
        {"Drawing": ".drawing", "Table": ".drawing", "draw": ".registry"},
        needs=("a figure", "matplotlib"),
    )

__all__ = ["Drawing", "Table", "draw"]
