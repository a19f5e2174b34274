"""Helps to launch Triton kernels: devices, CUDA graphs, memory layout. Never imports triton."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .backends import interpreting


def on_device(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context in which kernels are launched on the tensor's device."""
    if not tensor.is_cuda:
        return nullcontext()
    from .cache_keys import settle  # here, because it imports every kernel

    settle()
    return torch.cuda.device(tensor.device)


def capturing() -> bool:
    """Whether a CUDA graph is being recorded. Then nothing may wait for a number from the GPU."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def ready(tensor: Tensor) -> Tensor:
    """Return the tensor as the kernels take it: contiguous, and detached from its graph.

    For Triton's interpreter, which multiplies and rounds bfloat16 wrongly, that becomes float32.
    """
    if interpreting() and tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().contiguous()


def describable(matrix: Tensor) -> bool:
    """Whether a tensor descriptor can read a contiguous matrix: its rows are multiples of 16 bytes.

    CUDA's driver API (cuTensorMapEncodeTiled) asks for addresses and strides that are such.
    """
    return matrix.data_ptr() % 16 == 0 and matrix.shape[1] * matrix.element_size() % 16 == 0
