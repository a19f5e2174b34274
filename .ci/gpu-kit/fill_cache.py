"""Compiles the kernels that a rehearsal listed, with their launchers, into Triton's cache.

    python fill_cache.py SPECS PROCESSES

For the Python and the Triton of the rented machine, without a GPU and without torch, which only
the modules around the kernels import. TRITON_CACHE_DIR and TRITON_LIBCUDA_PATH must be set.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock, patch

# What Triton 3.6 calls the platform in a launcher's key: with the command `file`, and without it.
PLATFORMS = "x86_64,Linux,64bit,ELF", "x86_64,Linux,64bit,"


class NoTorch(MetaPathFinder, Loader):
    """Imports mocks in place of torch and its modules."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Serve torch only."""
        return ModuleSpec(name, self) if name.partition(".")[0] == "torch" else None

    def create_module(self, spec: ModuleSpec) -> MagicMock:
        """Return a module that has every attribute."""
        return MagicMock(__spec__=spec, __path__=[], __name__=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a mock is complete."""


def fill(line: str) -> str:
    """Compile one kernel, then its launcher for each name of the platform; return its name."""
    if not any(isinstance(finder, NoTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, NoTorch())
    from triton.backends.nvidia.driver import CudaLauncher
    from twinsae.kernels.specs import read_spec

    spec = read_spec(line)
    compiled = spec.compile()
    for_each_platform(lambda: CudaLauncher(compiled.src, compiled.metadata))
    return spec.kernel


def for_each_platform(make: Callable[[], object]) -> None:
    """Let Triton build a module of C, but not load it, because that needs a GPU's library."""
    from triton.runtime import build

    for platform in PLATFORMS:
        with patch.multiple(
            build, platform_key=lambda name=platform: name, _load_module_from_path=MagicMock()
        ):
            make()


def main(arguments: Sequence[str]) -> None:
    """Fill the cache; an exception if a kernel does not compile."""
    path, processes = arguments
    lines = Path(path).read_text().splitlines()
    from triton.backends.nvidia.driver import CudaUtils

    for_each_platform(lambda: CudaUtils().__init__())
    with ProcessPoolExecutor(int(processes), get_context("spawn")) as pool:
        for number, name in enumerate(pool.map(fill, lines), 1):
            print(f"{number} of {len(lines)}: {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
