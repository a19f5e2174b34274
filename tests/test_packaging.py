"""The folders at the root and what pyproject.toml says of them are the same."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("bench", "cli", "common", "kernels", "matching", "sae", "sweep")
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def python_folders() -> dict[str, str]:
    """Return {package: folder} for every folder of the rooms that holds Python files, not tests."""
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    folders = {path.parent for path in files if not path.name.startswith("test_")}
    relative = [folder.relative_to(ROOT).as_posix() for folder in folders]
    return {"twinsae." + folder.replace("/", "."): folder for folder in relative}


def test_every_package_is_listed_and_mapped_to_its_folder():
    assert SETUPTOOLS["packages"] == sorted(SETUPTOOLS["packages"])
    assert set(SETUPTOOLS["packages"]) == set(python_folders())
    assert SETUPTOOLS["package-dir"] == python_folders()


def test_every_room_is_typed():
    assert all((ROOT / room / "py.typed").exists() for room in ROOMS)


def test_kernels_cannot_be_taken_for_the_hugging_face_package():
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "conftest.py").exists()
