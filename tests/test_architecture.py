"""Which room may import which, and that no modules import one another in a circle.

Every import statement counts, those inside functions and under TYPE_CHECKING too: what one file
has to know of another is the same wherever the line stands.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (("common",), ("kernels",), ("sae",), ("matching",), ("bench", "sweep"), ("cli",))
"""The rooms from the ground up; a room may import itself and the floors below its own."""
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}

Imports = dict[str, set[str]]
"""{module: modules of ours that it imports}; names without "twinsae.", as in "sae.model"."""


def read_rooms() -> dict[str, str]:
    """Return {module: its text} for every Python file and stub of the rooms that exist."""
    found = (path for room in FLOOR_OF for path in (ROOT / room).rglob("*.py*"))
    paths = [path for path in found if not path.name.startswith("test_")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): (
            path.read_text()
        )
        for path in paths
        if path.suffix in (".py", ".pyi")
    }


def imports_of(sources: Mapping[str, str], packages: set[str]) -> Imports:
    """Return what each module imports of ours.

    Args:
        sources: {module: text}.
        packages: those of the modules that are an ``__init__.py``.

    Raises:
        ImportError: a module imports one of ours by its absolute name, or one that does not exist.
    """
    imports: Imports = {}
    for module, text in sources.items():
        package = module if module in packages else module.rpartition(".")[0]
        found = (
            name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in _names(node, f"twinsae.{package}")
        )
        imports[module] = {_module(name, sources) for name in found}
    return imports


def _names(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """Return what a statement imports of ours: "room.module.name"."""
    absolute = isinstance(node, ast.Import) or not node.level
    base = "" if isinstance(node, ast.Import) else node.module or ""
    if not absolute:
        base = resolve_name("." * node.level + base, package)
    for alias in node.names:
        first, _, name = f"{base}.{alias.name}".lstrip(".").partition(".")
        if first == "twinsae" and absolute:
            raise ImportError(f"line {node.lineno} of {package}: ours are imported relatively")
        if first == "twinsae":
            yield name


def _module(name: str, sources: Mapping[str, str]) -> str:
    """Return the module that is, or that holds, ``name``."""
    # `from .package import module` needs that module, not what else the package has.
    found = name if name in sources else name.rpartition(".")[0]
    if found not in sources:
        raise ImportError(f"there is no module {found}")
    return found


def forbidden_arrows(imports: Imports) -> list[str]:
    """Return the imports of another room on the same floor or above, in words."""
    return sorted(
        f"{module} -> {other}"
        for module, others in imports.items()
        for other in others
        if (room := module.split(".")[0]) != (wanted := other.split(".")[0])
        and FLOOR_OF[wanted] >= FLOOR_OF[room]
    )


def circle(imports: Imports) -> list[str]:
    """Return modules each of which imports the one before, the last as the first; [] if none do."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@pytest.fixture(scope="module")
def imports() -> Imports:
    sources = read_rooms()
    packages = {name for name in sources if (ROOT / name.replace(".", "/")).is_dir()}
    return imports_of(sources, packages)


def test_arrows_between_rooms_point_down(imports: Imports):
    assert forbidden_arrows(imports) == []


def reached(imports: Imports, room: str) -> set[str]:
    """Return the modules that a room's modules import, and those that these import, and so on."""
    found: set[str] = set()
    waiting = [module for module in imports if f"{module}.".startswith(f"{room}.")]
    while waiting:
        new = imports.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def test_a_proof_uses_nothing_of_the_solver(imports: Imports):
    found = reached(imports, "matching.proof")
    assert "matching.rows" in found
    assert [name for name in found if name.startswith(("matching.solver", "matching.assign"))] == []


def test_the_assignment_problem_knows_nothing_of_dictionaries(imports: Imports):
    found = reached(imports, "matching.assignment")
    assert all(name.startswith("matching.assignment") for name in found)


def test_no_modules_import_one_another_in_a_circle(imports: Imports):
    assert circle(imports) == []


def test_the_walk_sees_the_house(imports: Imports):
    assert len(imports) > 100
    assert {module.split(".")[0] for module in imports} >= {"common", "kernels", "sae", "cli"}
    assert "sae.config" in imports["sae.model"]
    assert "kernels.decode" in imports["sae.model"]
    assert "kernels._native" in imports["bench.machine"]  # inside a function; a stub of C++


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("sae.model", "from ..matching import verify", "matching"),
        ("sae.model", "from ..matching.match import match", "matching.match"),
        ("sae.model", "def f():\n from ..matching import verify", "matching"),
        ("sae.model", "if TYPE_CHECKING:\n from ..matching.match import match", "matching.match"),
        ("sae.model", "from .. import matching", "matching"),
        ("sae.formats", "from ...matching import match", "matching.match"),
        ("sae.formats", "from ....matching import match", None),  # one dot too many
        ("sae.formats", "from ..model import SAE", "sae.model"),
        ("sae.formats", "from . import files, match", "sae.formats.files"),
        ("sae.formats.files", "from . import other", "sae.formats"),
        ("sae.formats.files", "from ..model import SAE", "sae.model"),
        ("sae.formats.files", "from .nothing import at_all", None),
        ("sae.model", "import twinsae.matching", None),
        ("sae.model", "from twinsae.matching import match", None),
    ],
)
def test_every_form_of_an_import_is_found(module: str, line: str, found: str | None):
    names = ("matching", "matching.match", "sae.model", "sae.formats", "sae.formats.files")
    sources = dict.fromkeys(names, "import math\nfrom pathlib import Path\n") | {module: line}
    packages = {"matching", "sae.formats"}
    if found is None:
        with pytest.raises(ImportError):
            imports_of(sources, packages)
    else:
        assert found in imports_of(sources, packages)[module]


def test_an_arrow_upwards_or_sideways_is_refused():
    wrong = {"sae.a": {"matching.b"}, "bench.a": {"sweep.b"}, "common.a": {"kernels.b"}}
    right = {"cli.a": {"bench.b", "sweep.b", "common.b", "cli.b"}, "sae.a": {"kernels.b"}}
    assert forbidden_arrows(wrong) == [
        "bench.a -> sweep.b", "common.a -> kernels.b", "sae.a -> matching.b",
    ]  # fmt: skip
    assert forbidden_arrows(right) == []


@pytest.mark.parametrize("closing", [{"d": {"b"}}, {"d": {"c"}}, {"d": {"d"}}, {"d": {"a"}}])
def test_a_circle_is_found_wherever_it_is(closing: Imports):
    line = {"a": {"b", "c"}, "b": {"c"}, "c": {"d"}}
    assert circle(line) == []
    found = circle(line | closing)
    assert found[0] == found[-1]
    assert "d" in found
