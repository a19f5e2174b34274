"""The functions of the C++ extension, which is imported when the first of them is used.

So everything can be imported where the extension was never built.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Return a function or a constant of `_native`; raise ImportError in one line without it."""
    try:
        from . import _native
    except ImportError as error:
        raise ImportError(
            f"twinsae.matching.assignment: expected its C++ extension, got {error}; "
            "to build it, install the package again"
        ) from error
    return getattr(_native, name)
