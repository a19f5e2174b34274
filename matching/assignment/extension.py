"""The functions of the C++ extension, and whether there is one.

So everything can be imported where the extension was never built.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import *  # noqa: F403

MISSING: str | None = None
"""Why the extension cannot be imported; None if it can."""
try:
    _native = import_module("._native", __package__)
except ImportError as error:
    MISSING = str(error)


def __getattr__(name: str) -> Any:
    """Return a function or a constant of `_native`; raise ImportError in one line without it."""
    if MISSING is not None:
        raise ImportError(
            f"twinsae.matching.assignment: expected its C++ extension, got {MISSING}; "
            "to build it, install the package again"
        )
    return getattr(_native, name)
