"""Builds the C++ extension; everything else is declared in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

sources = sorted(str(path) for path in Path("kernels/native").glob("*.cpp"))

setup(
    ext_modules=[
        Pybind11Extension(
            "twinsae.kernels._native",
            sources,
            depends=sorted(str(path) for path in Path("kernels/native").glob("*.[hi]*")),
            cxx_std=17,
            # A portable baseline: faster instruction sets are chosen at run time, not here.
            extra_compile_args=["-O3", "-Wall", "-Wextra", "-pthread"],
            extra_link_args=["-pthread"],
        )
    ]
)
