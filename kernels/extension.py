"""The functions of the C++ extension, which is imported when the first of them is used.

So everything can be imported, and the other backends work, where the extension was never built.
"""

from typing import TYPE_CHECKING

from ..common.lazy import extension_names

if TYPE_CHECKING:
    from ._native import *  # noqa: F403

__getattr__ = extension_names(__name__, "its C++ extension for CPU tensors")
