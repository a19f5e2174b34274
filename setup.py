"""Builds the C++ extensions; everything else is declared in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

KERNELS = Path("kernels/native")
ROWS, ASSIGNMENT = Path("matching/native"), Path("matching/assignment/native")


def extension(name: str, folder: Path, *headers: Path) -> Pybind11Extension:
    """Describe the extension whose sources are a folder's, with headers from others too."""
    folders = (folder, *headers)
    return Pybind11Extension(
        name,
        sorted(str(path) for path in folder.rglob("*.cpp")),
        depends=sorted(str(path) for used in folders for path in used.rglob("*.[hi]*")),
        include_dirs=[str(used) for used in folders],
        cxx_std=17,
        # A portable baseline: faster instruction sets are chosen at run time, not here.
        # Without errno, a loop with square roots becomes vector instructions.
        extra_compile_args=["-O3", "-fno-math-errno", "-Wall", "-Wextra", "-pthread"],
        extra_link_args=["-pthread"],
    )


ParallelCompile(default=0).install()  # files of an extension are compiled on all cores

setup(
    ext_modules=[
        extension("twinsae.kernels._native", KERNELS),
        extension("twinsae.matching._native", ROWS, KERNELS),
        extension("twinsae.matching.assignment._native", ASSIGNMENT, KERNELS),
    ]
)
