"""Names of a package that are imported when they are first asked for (PEP 562).

So a package may need what is not installed, and the parts of it that do not need it still work. The
command line shows help and answers a wrong option without torch, which takes seconds to import.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from .packages import need


def lazy_names(
    package: str, modules: Mapping[str, str], *, needs: tuple[str, ...] = ()
) -> Callable[[str], object]:
    """Return a package's ``__getattr__``.

    Args:
        package: its ``__name__``.
        modules: {name: the module that has it}, relative to the package, such as ".model".
        needs: what `need` is asked for before a name is imported.
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if needs:
            need(*needs)
        found: object = getattr(import_module(modules[name], package), name)
        return found

    return get
