"""Chooses the backend of a call: "reference", "native" or "triton". Nothing falls back silently.

"auto" goes by the tensor's device, and takes the reference for float64. Where a device has no
backend of its own, or that backend cannot work on this machine, it takes the reference, too, and a
warning says so, once for each reason. An explicit request that cannot be served raises.
"""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from . import extension

Backend = Literal["auto", "reference", "native", "triton"]

# The backends that serve one kind of device each; the reference serves all.
DEVICE_OF = {"native": "cpu", "triton": "cuda"}
_NO_TRITON = "the package triton is not installed: pip install triton"
LEAST_CAPABILITY = (8, 0)
"""Of a GPU: the kernels are compiled for sm_80 and later (aot.py)."""


def interpreting() -> bool:
    """Whether Triton's kernels run in its interpreter, on CPU tensors, for tests without a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def resolve_backend(op: str, backend: str, tensor: Tensor) -> str:
    """Return which implementation serves a call: "reference", "native" or "triton".

    Args:
        op: the op's name, for the message.
        backend: what the caller asked for.
        tensor: one of the call's tensors; its device and dtype count.

    Raises:
        ValueError: `backend` is unknown, or cannot serve this device or dtype, or cannot work here.

    """
    if backend not in get_args(Backend):
        names = ", ".join(get_args(Backend))
        raise ValueError(f"backend: expected one of {names}, got {backend!r}")
    if backend == "auto":
        return _automatic(tensor)
    refusal = _refusal(backend, tensor) or _absence(backend, tensor)
    if refusal is not None:
        raise ValueError(f"backend: {backend!r} cannot serve {op}: {refusal}")
    return backend


def _automatic(tensor: Tensor) -> str:
    fast = next((name for name in DEVICE_OF if _refusal(name, tensor) is None), None)
    if fast is not None:
        absence = _absence(fast, tensor)
        if absence is None:
            return fast
    elif tensor.device.type in (*DEVICE_OF.values(), "meta"):  # float64
        return "reference"
    else:
        absence = f"there are no kernels for {tensor.device.type} tensors"
    if not torch.compiler.is_compiling():  # a warning cannot be traced
        _warn_once(absence)
    return "reference"


def _refusal(backend: str, tensor: Tensor) -> str | None:
    """Say why a backend cannot serve a tensor like this; None if it can."""
    if backend == "reference":
        return None
    device = "cpu" if backend == "triton" and interpreting() else DEVICE_OF[backend]
    if tensor.device.type != device:
        return f"expected {device} tensors, got {tensor.device.type}"
    if tensor.dtype == torch.float64:
        return "float64 is served by the reference only"
    return None


def _absence(backend: str, tensor: Tensor) -> str | None:
    """Say why a backend for such tensors cannot work on this machine; None if it can."""
    if backend == "native" and extension.MISSING is not None:
        return (
            f"the C++ extension is missing ({extension.MISSING}); install a wheel of twinsae, "
            "or a C++17 compiler and then twinsae again"
        )
    # While torch.compile traces, neither a GPU nor packages can be asked for.
    if backend != "triton" or torch.compiler.is_compiling():
        return None
    if tensor.device.type == "cuda":
        return _gpu_absence(tensor.device.index)
    return _NO_TRITON if find_spec("triton") is None else None


@cache
def _gpu_absence(index: int | None) -> str | None:
    """Say why Triton's kernels cannot run on a GPU; None if they can, or if there is none to ask.

    Args:
        index: the GPU's number; None is the current one.

    """
    if torch.version.hip is not None:
        return "expected an NVIDIA GPU, got an AMD one"
    if find_spec("triton") is None:
        return _NO_TRITON
    if not torch.cuda.is_available():  # the tensor is a fake one, which has a shape and no data
        return None
    capability = torch.cuda.get_device_capability(index)
    if capability < LEAST_CAPABILITY:
        least, found = (".".join(map(str, each)) for each in (LEAST_CAPABILITY, capability))
        return f"expected a GPU of compute capability {least} or more, got {found}"
    return None


@cache
def _warn_once(absence: str) -> None:
    warnings.warn(
        f"twinsae: {absence}. Instead torch multiplies, in blocks: results are as exact and memory "
        "as bounded, but it takes longer",
        stacklevel=5,  # from the line that called a function of `twinsae.kernels`
    )
