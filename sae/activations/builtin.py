"""CPython's own documentation, as text that is always there."""

import ast
import random
import sysconfig
from pathlib import Path

_NOT_DOCUMENTATION = {
    "__pycache__",
    "dist-packages",
    "idle_test",
    "site-packages",
    "test",
    "tests",
}


def builtin_documents() -> list[str]:
    """Return CPython's own documentation, about 1.8 million characters, in a shuffled order.

    There is one document for each topic of ``help()`` and one for each module of the standard
    library: its docstrings, in the order of the source. They are read without importing
    anything, tests are left out, and a docstring that occurs twice is taken once. The order is
    shuffled with a fixed seed, so that any beginning of it is a fair sample. The text differs
    between Python versions.
    """
    from pydoc_data.topics import topics

    library = Path(sysconfig.get_paths()["stdlib"])
    found = dict.fromkeys(topics[name] for name in sorted(topics))
    seen: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        folders = path.relative_to(library).parts[:-1]
        if _NOT_DOCUMENTATION.isdisjoint(folders):
            new = dict.fromkeys(text for text in _docstrings(path) if text not in seen)
            seen.update(new)
            found["\n\n".join(new)] = None
    filled = [text for text in found if text]
    random.Random(0).shuffle(filled)
    return filled


def _docstrings(path: Path) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template or a deliberately broken example
        return []
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [text for node in nodes if (text := ast.get_docstring(node))]
