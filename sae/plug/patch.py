"""Names in other people's modules that are replaced for a while."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from ...common.packages import missing


class Swap(NamedTuple):
    """One name and what it is to mean."""

    namespace: MutableMapping[Any, Any]
    """A module's or a registry's dict."""
    name: str
    ours: Any


class Patch:
    """A set of names to swap, by `enable` and `disable` or by a ``with`` statement.

    Args:
        prepare: imports the other library, and returns what to swap.
    """

    def __init__(self, prepare: Callable[[], list[Swap]]) -> None:
        self._prepare = prepare
        self._done: list[tuple[Swap, Any]] = []

    @property
    def enabled(self) -> bool:
        """Whether the names are swapped."""
        return bool(self._done)

    def enable(self) -> None:
        """Swap the names; nothing happens if they are swapped already.

        Raises:
            ImportError: the library is not installed.
            RuntimeError: it is of a version that is not known, or lacks one of the names.
        """
        if self.enabled:
            return
        swaps = self._prepare()
        for swap in swaps:
            if swap.name not in swap.namespace:
                raise RuntimeError(f"there is no {swap.name!r} to replace; is it another version?")
        for swap in swaps:
            self._done.append((swap, swap.namespace[swap.name]))
            swap.namespace[swap.name] = swap.ours

    def disable(self) -> None:
        """Put back what was there; nothing happens if the names are not swapped."""
        while self._done:
            swap, theirs = self._done.pop()
            if swap.namespace.get(swap.name) is swap.ours:  # unless someone replaced it after us
                swap.namespace[swap.name] = theirs

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Swap the names within a ``with`` statement."""
        before = self.enabled
        self.enable()
        try:
            yield
        finally:
            if not before:
                self.disable()


def check_version(package: str, known: str) -> None:
    """Raise RuntimeError unless the installed ``package`` has a version that begins with `known`.

    Raises:
        ImportError: it is not installed.
    """
    try:
        found = version(package)
    except PackageNotFoundError as error:
        raise missing("the plug-in", package) from error
    if not found.startswith(f"{known}."):
        raise RuntimeError(
            f"twinsae's plug-in knows {package} {known}.x, but {found} is installed; "
            f"install another version of {package}, or a newer twinsae"
        )
