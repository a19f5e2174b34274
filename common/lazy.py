"""Names of a package that are imported when they are first asked for (PEP 562).

The command line shows help and answers a wrong option without torch, which takes seconds to import.
"""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return a package's ``__getattr__``.

    Args:
        package: its ``__name__``.
        modules: {name: the module that has it}, relative to the package, such as ".model".
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(import_module(modules[name], package), name)
        return found

    return get
