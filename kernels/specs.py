"""Keeps a list of compiled kernels, and compiles them again where Triton's cache lacks them.

    python -m twinsae.kernels.specs FILE [PROCESSES]

compiles what the cache lacks of the kernels in FILE, some at a time. It needs triton, and no GPU. A
rehearsal writes such files: pytest tests/kernels --device rehearsal --specs FILE
"""

import ast
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from .cache_keys import settle

Place = tuple[int, ...]
"""The number of an argument, and of a part of it."""


@dataclass(frozen=True)
class Spec:
    """All that one compiled kernel depends on, except its source."""

    arch: int
    """The GPU's compute capability, as in sm_90."""
    kernel: str
    """The function, "module.name"."""
    signature: dict[str, str]
    constants: dict[Place, Any]
    attributes: dict[Place, list[list[Any]]]
    """What is known of the arguments, as that they are multiples of 16."""
    options: dict[str, Any]

    def compile(self) -> Any:
        """Compile the kernel if Triton's cache lacks it, and return Triton's compiled kernel."""
        source = ASTSource(settle()[self.kernel], self.signature, self.constants, self.attributes)
        target = GPUTarget("cuda", self.arch, 32)
        return triton.compile(source, target=target, options=self.options)


def write_specs(path: Path, specs: Iterable[Spec]) -> None:
    """Write each of the specs once, as a Python literal in a line."""
    lines = {repr(astuple(spec)) for spec in specs}
    path.write_text("".join(f"{line}\n" for line in sorted(lines)))


def read_spec(line: str) -> Spec:
    """Return the spec of a line that `write_specs` wrote."""
    return Spec(*ast.literal_eval(line))


def compile_one(spec: Spec) -> tuple[bool, str]:
    """Compile a kernel, and return whether the cache had it, and a line that says what happened."""
    started, hits = time.monotonic(), []

    def heard(*, cache_hit: bool, **_: Any) -> None:
        hits.append(cache_hit)

    try:
        with patch.object(knobs.compilation, "listener", heard):
            spec.compile()
    except Exception as error:  # a kernel that fails must not stop the others
        reason = (str(error).splitlines() or [""])[0]
        return False, f"{spec.kernel}: {type(error).__name__}: {reason}"
    took = f"{spec.kernel} compiled in {time.monotonic() - started:.1f} s"
    return all(hits), "" if all(hits) else took


def main(path: str, processes: str = "2") -> None:
    """Compile what the cache lacks. The last line of the output has the numbers."""
    specs, hits = [read_spec(line) for line in Path(path).read_text().splitlines()], 0
    with ProcessPoolExecutor(int(processes), get_context("spawn")) as pool:
        for hit, line in pool.map(compile_one, specs):
            hits += hit
            if line:
                print(line, flush=True)
    print(f"{hits} of {len(specs)} kernels were in the cache")


if __name__ == "__main__":
    main(*sys.argv[1:])
