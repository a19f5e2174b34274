"""Builds the C++ extensions; everything else is declared in pyproject.toml.

With TWINSAE_NO_NATIVE=1 none is built: no compiler is needed, and torch and scipy do the work.
"""

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

KERNELS = Path("kernels/native")
ROWS, ASSIGNMENT = Path("matching/native"), Path("matching/assignment/native")


def extensions() -> list[Any]:
    """Describe the three extensions."""
    # Here, because these packages are not needed where nothing is built.
    from pybind11.setup_helpers import ParallelCompile

    ParallelCompile(default=0).install()  # files of an extension are compiled on all cores
    return [
        extension("twinsae.kernels._native", KERNELS),
        extension("twinsae.matching._native", ROWS, KERNELS),
        extension("twinsae.matching.assignment._native", ASSIGNMENT, KERNELS),
    ]


def extension(name: str, folder: Path, *headers: Path) -> Any:
    """Describe the extension whose sources are a folder's, with headers from others too."""
    from pybind11.setup_helpers import Pybind11Extension

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


if sys.platform == "win32":
    sys.exit("twinsae: Windows itself is not supported; install it in WSL 2, which runs Linux")
setup(ext_modules=[] if os.environ.get("TWINSAE_NO_NATIVE") == "1" else extensions())
