"""Chooses the backend of a call: "reference", "native" or "triton". Nothing falls back silently.

"auto" goes by the tensor's device, and takes the reference for float64 and for devices without a
backend of their own. An explicit request that cannot be served raises.
"""

import os
from typing import Literal, get_args

import torch
from torch import Tensor

Backend = Literal["auto", "reference", "native", "triton"]

# The backends that serve one kind of device each; the reference serves all.
DEVICE_OF = {"native": "cpu", "triton": "cuda"}


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
        ValueError: `backend` is unknown, or cannot serve this device or dtype.

    """
    if backend not in get_args(Backend):
        names = ", ".join(get_args(Backend))
        raise ValueError(f"backend: expected one of {names}, got {backend!r}")
    if backend == "auto":
        choices = (fast for fast in DEVICE_OF if _refusal(fast, tensor) is None)
        return next(choices, "reference")
    refusal = _refusal(backend, tensor)
    if refusal is not None:
        raise ValueError(f"backend: {backend!r} cannot serve {op}: {refusal}")
    return backend


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
