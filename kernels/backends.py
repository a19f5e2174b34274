"""Which implementation serves a call. Nothing falls back silently.

`auto` goes by the tensor's device, and takes the reference for float64 and for an op that the
device's own backend does not have. An explicit request that cannot be served raises.
"""

import os
from typing import Literal, get_args

import torch
from torch import Tensor

Backend = Literal["auto", "reference", "native", "triton"]

# Every op has a reference; the faster backends that it has beside that.
SERVED: dict[str, tuple[str, ...]] = {
    "linear_topk": ("native", "triton"),
    "mutual_topk": ("native", "triton"),
    "pairs_above": ("native", "triton"),
    "sparse_decode": ("native", "triton"),
    "gather_dot": ("native", "triton"),
    "decode_error": ("native", "triton"),
    "latent_grads": ("native", "triton"),
    "topk_autoencode": ("native", "triton"),
}
DEVICE_OF = {"native": "cpu", "triton": "cuda"}


def interpreting() -> bool:
    """Whether Triton's kernels run in its interpreter, on CPU tensors: for tests without a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def resolve_backend(op: str, backend: str, tensor: Tensor) -> str:
    """Name the implementation of `op` for a tensor like this: "reference", "native" or "triton".

    Raises:
        ValueError: `backend` is unknown, or cannot serve this op, device or dtype.

    """
    if backend not in get_args(Backend):
        names = ", ".join(get_args(Backend))
        raise ValueError(f"backend: expected one of {names}, got {backend!r}")
    if backend == "auto":
        choices = (fast for fast in SERVED[op] if _refusal(op, fast, tensor) is None)
        return next(choices, "reference")
    refusal = _refusal(op, backend, tensor)
    if refusal is not None:
        raise ValueError(f"backend: {backend!r} cannot serve {op}: {refusal}")
    return backend


def _refusal(op: str, backend: str, tensor: Tensor) -> str | None:
    if backend == "reference":
        return None
    if backend not in SERVED[op]:
        return "it has no such implementation"
    device = "cpu" if backend == "triton" and interpreting() else DEVICE_OF[backend]
    if tensor.device.type != device:
        return f"expected {device} tensors, got {tensor.device.type}"
    if tensor.dtype == torch.float64:
        return "float64 is served by the reference only"
    return None
