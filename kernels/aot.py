"""Compiles every Triton kernel for every listed GPU, without a GPU, and checks the machine code.

    python -m twinsae.kernels.aot [--every | --table] [WORD...]

`--every` compiles all configurations that a call may choose. `--table` prints the table of
docs/kernels.md, with the first configuration of each kernel. With words, such as scan_groups, bf16
or sm_90, only kernels and GPUs whose line has one of them are compiled.

Compiling takes a second or a few for each kernel and GPU; Triton keeps the results in its cache.
Times are predictions from the vendors' published peaks, never measurements.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from .aot_builds import builds, functions
from .aot_types import Build


@dataclass(frozen=True)
class Target:
    """A GPU, and its vendor's published figures."""

    arch: int
    """Compute capability, as in sm_90."""
    name: str
    tensor_instruction: str
    """The machine instruction that a product on tensor cores must compile to."""
    shared: int
    """The most bytes of shared memory that one program may take."""
    flops: float
    """Dense half-precision operations a second."""
    float_flops: float
    """float32 operations a second, without tensor cores."""
    bandwidth: float
    """Bytes of memory a second."""


TARGETS = (
    Target(80, "A100", "HMMA", 163 << 10, 312e12, 19.5e12, 2.04e12),
    Target(90, "H100", "HGMMA", 227 << 10, 989e12, 66.9e12, 3.35e12),
    Target(100, "B200", "UTCHMMA", 227 << 10, 2250e12, 75e12, 8.0e12),
    Target(120, "RTX 5090", "HMMA", 99 << 10, 209.5e12, 104.8e12, 1.79e12),
)


@dataclass(frozen=True)
class Resources:
    """The resources that one kernel takes on one GPU."""

    build: Build
    target: Target
    registers: int
    """How many registers a thread takes."""
    stack: int
    """Bytes of a thread's stack; not 0 if registers spill to memory."""
    shared: int
    """Bytes of shared memory that a program takes."""
    instructions: int
    epilogue: int
    """How many of the instructions come after the last one on tensor cores; 0 without any."""
    serialised: bool
    """Whether ptxas makes a Hopper's products wait for one another, for lack of registers."""
    opcodes: frozenset[str] = field(repr=False)
    """The instructions with their modifiers, as in "LDG.E.128"."""
    float_atomics: bool

    @property
    def predicted_seconds(self) -> float:
        """The roofline at the shape in aot_types; a prediction, not a measurement."""
        build, target = self.build, self.target
        peak = target.flops if build.kind == "half product" else target.float_flops
        return max(build.flops / peak, build.moved / target.bandwidth)

    def problems(self) -> list[str]:
        """Return what is wrong with the machine code, one line each; [] if nothing is."""
        target, build = self.target, self.build
        found = []
        if self.stack or self._has("STL"):
            found.append(f"spills: {self.stack} bytes of stack")
        if self.shared > target.shared:
            found.append(f"{self.shared} bytes of shared memory, more than {target.shared}")
        if build.kind == "half product" and not self._has(target.tensor_instruction):
            found.append(f"no {target.tensor_instruction} instruction")
        if build.kind == "gather" and not any("LDG" in o and ".128" in o for o in self.opcodes):
            found.append("no 16-byte loads")
        if self.serialised:
            found.append("serialised wgmma instructions")
        if self.float_atomics:
            found.append("atomics on floats")
        return found

    def _has(self, opcode: str) -> bool:
        return any(found.split(".")[0] == opcode for found in self.opcodes)


def compile_all(
    every: bool = False, processes: int = 2, words: Sequence[str] = ()
) -> Iterator[Resources]:
    """Compile for all targets, in parallel processes.

    Args:
        every: whether to compile all configurations that a call may choose, or only the first of
            each kernel.
        processes: how many processes compile at once.
        words: only kernels and GPUs whose names have one of these are compiled; () for all.

    Yields:
        Resources in the order of the builds, then of the targets.

    """
    jobs = [
        (build, target)
        for build in builds(every)
        for target in TARGETS
        if not build.archs or target.arch in build.archs
        if not words or any(word in f"{build.name} sm_{target.arch}" for word in words)
    ]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(compile_one, *zip(*jobs, strict=True))


def compile_one(build: Build, target: Target) -> Resources:
    """Compile one kernel for one GPU. Triton's interpreter must be off."""
    kernel = functions()[build.kernel]
    # Every constant also stands in the signature.
    arguments = dict.fromkeys(kernel.arg_names, "constexpr") | build.signature
    constants = dict.fromkeys(set(kernel.arg_names) - set(build.signature)) | dict(build.constants)
    changing = {param.name for param in kernel.params if param.do_not_specialize}
    aligned = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]]
        for name in build.signature if name not in build.odd and name not in changing
    }  # fmt: skip
    source = ASTSource(kernel, arguments, constants, aligned)
    # Without it, triton 3.9 warns, and 3.10 turns fusion off, which changes bits and speed.
    options = {
        "num_warps": build.warps, "num_stages": build.stages, "enable_fp_fusion": True
    }  # fmt: skip
    compiled = triton.compile(source, target=GPUTarget("cuda", target.arch, 32), options=options)
    listing = _listing(compiled.asm["cubin"])
    usage = {name: int(count) for name, count in re.findall(r"\b(REG|STACK|SHARED):(\d+)", listing)}
    opcodes = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@\S+\s+)?([A-Z][A-Z0-9_.]*)", listing, re.M)
    products = [i for i, name in enumerate(opcodes) if name.startswith(target.tensor_instruction)]
    wgmma = "wgmma.mma_async" in compiled.asm["ptx"]
    return Resources(
        build, target, usage["REG"], usage["STACK"], usage["SHARED"] + compiled.metadata.shared,
        len(opcodes), len(opcodes) - 1 - products[-1] if products else 0,
        wgmma and is_serialised(_ptxas_log(compiled.asm["ptx"])), frozenset(opcodes),
        bool(re.search(r"\b(?:red|atom)\.\S*\.[bf]?f(?:16|32|64)", compiled.asm["ptx"])),
    )  # fmt: skip


def is_serialised(log: str) -> bool:
    """Whether ptxas's log says that wgmma instructions wait for one another."""
    return "wgmma.mma_async instructions are serialized" in log


def _ptxas_log(ptx: str) -> str:
    """Return what ptxas says of a kernel. Triton keeps it to itself."""
    (arch,) = re.findall(r"^\.target (\w+)", ptx, re.M)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        ptxas = get_ptxas(int(re.sub(r"\D", "", arch))).path
        command = [ptxas, "-v", f"--gpu-name={arch}", source, "-o", made]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def _listing(cubin: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", "--dump-sass", file.name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def table(resources: Iterable[Resources]) -> str:
    """Return a Markdown table with a line for each kernel and a column for each GPU."""
    lines: dict[str, dict[int, str]] = {}
    for found in resources:
        cells = lines.setdefault(found.build.name, {})
        cells[found.target.arch] = (
            f"{found.registers} · {found.stack} · {found.shared:,} · {found.instructions:,} · "
            f"{f'{found.epilogue:,}' if found.epilogue else '-'} · "
            f"{found.predicted_seconds * 1e3:,.2f}"
        )
    head = ["kernel", *(f"{target.name} (sm_{target.arch})" for target in TARGETS)]
    rows = [head, ["---"] * len(head)]
    for name, cells in lines.items():
        rows.append([f"`{name}`", *(cells.get(target.arch, "") for target in TARGETS)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Print a line for each kernel and GPU, or a table; return 1 if any has a problem."""
    options = [word for word in sys.argv[1:] if word.startswith("--")]
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    results = compile_all(every="--every" in options, words=words)
    if "--table" in options:
        print(table(results))
        return 0
    failed = False
    for found in results:
        problems = "; ".join(found.problems())
        failed |= bool(problems)
        print(
            f"{found.build.name:44} sm_{found.target.arch:<4} {found.registers:4} registers "
            f"{found.shared:7} B shared {found.instructions:6} instructions "
            f"{found.epilogue:6} after products  {problems or 'ok'}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
