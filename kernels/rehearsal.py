"""Sends every launch of the Triton kernels through the real compiler, on a machine without a GPU.

Inside `rehearsing`, the backend "triton" takes CPU tensors and chooses the plans of the GPU that is
stood in for. Triton's own front end sees each launch with its real arguments, and compiles it for
that GPU. Then the launch runs in Triton's interpreter, so that results are right, and so that
launches that depend on results (rows done again, pairs that overflow) happen as they would.

The compiled kernels are in Triton's cache afterwards. A process on a GPU that launches the same
finds them, if the cache lies at the same path. Importing this needs triton.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor

from . import backends
from .cache_keys import settle
from .specs import Spec
from .topk.triton import tiles

OPTIONS = "num_warps", "num_stages", "num_ctas", "maxnreg", "enable_fp_fusion"
"""What a launch may choose besides its arguments."""
MOST_PROGRAMS = 2**31 - 1, 2**16 - 1, 2**16 - 1
"""CUDA's limits of a grid: CUDA C++ Programming Guide, "Compute Capabilities"."""


@dataclass
class Rehearsal:
    """The launches of a rehearsal."""

    launches: Counter[str] = field(default_factory=Counter)
    """How often each kernel was launched."""
    specs: list[Spec] = field(default_factory=list)
    """The compiled kernels, each once, in the order of their first launches."""
    compiled: Counter[str] = field(default_factory=Counter)
    """How many were not in Triton's cache, for each kernel."""


@contextmanager
def rehearsing(arch: int = 90, interpret: bool = True) -> Iterator[Rehearsal]:
    """In this context, launches are compiled for a GPU, and run in Triton's interpreter.

    Args:
        arch: the GPU's compute capability, as in sm_90.
        interpret: whether launches run. If not, their outputs stay as they are.

    Yields:
        The record of the launches so far.

    Raises:
        RuntimeError: TRITON_INTERPRET is 1, which leaves nothing to compile.

    """
    if backends.interpreting():
        raise RuntimeError("TRITON_INTERPRET: expected 0 in a rehearsal, got 1")
    found = Rehearsal()
    run, compiling = JITFunction.run, JITFunction._do_compile

    def launch(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> object:
        found.launches[self.fn.__name__] += 1
        check_grid(self.fn.__name__, grid)
        kernel = run(self, *arguments, grid=grid, warmup=True, **options)
        if interpret and not warmup:
            _interpret(self, arguments, grid, options)
        return kernel

    def do_compile(
        self: Any, key: Any, signature: Any, device: Any, constants: Any, options: Any, attrs: Any,
        warmup: bool,
    ) -> object:  # fmt: skip
        chosen = {option: getattr(options, option) for option in OPTIONS}
        name = f"{self.fn.__module__}.{self.fn.__name__}"
        found.specs.append(
            Spec(arch, name, dict(signature), dict(constants), dict(attrs), chosen)
        )  # fmt: skip
        return compiling(self, key, signature, device, constants, options, attrs, warmup)

    def heard(*, src: Any, cache_hit: bool, **_: Any) -> None:
        found.compiled[src.name] += not cache_hit

    with (
        patch.object(triton.runtime.driver, "_active", _no_gpu(arch)),
        patch.object(knobs.compilation, "listener", heard),
        patch.multiple(JITFunction, run=launch, _do_compile=do_compile, __call__=_call),
        patch.dict(backends.DEVICE_OF, triton="cpu"),
        patch.object(tiles, "capability", lambda _: arch),
        _forgetful(),
    ):
        yield found


@contextmanager
def _forgetful() -> Iterator[None]:
    """In this context, no kernel knows what was compiled outside it; nor does it afterwards."""
    kernels = settle().values()
    before = [kernel.device_caches.copy() for kernel in kernels]
    for kernel in kernels:
        kernel.device_caches.clear()
    try:
        yield
    finally:
        for kernel, caches in zip(kernels, before, strict=True):
            kernel.device_caches.clear()
            kernel.device_caches.update(caches)


def check_grid(name: str, grid: Sequence[int]) -> None:
    """Raise ValueError unless CUDA can launch this grid."""
    sizes = [int(size) for size in grid]
    if not all(1 <= size <= most for size, most in zip(sizes, MOST_PROGRAMS, strict=False)):
        raise ValueError(f"{name}: no grid of CUDA: {sizes}")


def _no_gpu(arch: int) -> SimpleNamespace:
    """Return the driver of a GPU that is not there."""
    return SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", arch, 32),
        get_current_device=lambda: 0,
        get_current_stream=lambda _: 0,
        get_active_torch_device=lambda: torch.device("cpu"),
    )


def _interpret(
    kernel: Any, arguments: Sequence[Any], grid: Sequence[int], options: dict[str, Any]
) -> None:
    """Run a launch in the interpreter, with float32 in place of bfloat16, which it gets wrong."""
    widened: list[tuple[Tensor, Tensor]] = []

    def widen(value: Any) -> Any:
        if isinstance(value, TensorDescriptor):
            return replace(value, base=widen(value.base))
        if not isinstance(value, Tensor) or value.dtype != torch.bfloat16:
            return value
        widened.append((value, value.float()))
        return widened[-1][1]

    function, names = _interpreted(kernel.fn).rewrite(), kernel.arg_names
    interpreter.GridExecutor(function, names, tuple(grid))(
        *(widen(value) for value in arguments),
        **{name: widen(value) for name, value in options.items()},
    )
    for tensor, wide in widened:
        tensor.copy_(wide)


@cache
def _interpreted(function: Any) -> Any:
    return interpreter.InterpretedFunction(function)


def _call(self: Any, *arguments: Any, **options: Any) -> Any:
    """Call a kernel's helper in the interpreter, and leave Triton's language as it was."""
    scope = interpreter._patch_lang(self.fn)
    try:
        return _interpreted(self.fn).rewrite()(*arguments, **options)
    finally:
        scope.restore()
