"""Helps to launch Triton kernels: devices, CUDA graphs, memory layout. Never imports triton."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .backends import interpreting
from .checks import check_ascending, check_ends


def on_device(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context in which kernels are launched on the tensor's device."""
    if not tensor.is_cuda:
        return nullcontext()
    from .cache_keys import settle  # here, because it imports every kernel

    settle()
    return torch.cuda.device(tensor.device)


def capturing(tensor: Tensor) -> bool:
    """Whether a CUDA graph is being recorded where kernels on this tensor are launched.

    Then nothing may wait for a number from the GPU.
    """
    with on_device(tensor):
        return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def begin_check(
    name: str, indices: Tensor, count: int, row_offsets: Tensor | None
) -> Callable[[], None]:
    """Begin `check_range`, and return a function that waits for its answer, and raises.

    A caller launches kernels before it calls that function. The check takes three small launches,
    and the CPU waits until they are done, but the GPU goes on with the caller's kernels meanwhile.
    Kernels leave out wrong indices, so that a wrong one does no harm before it is reported. While a
    CUDA graph is recorded, nothing is checked, because nothing can wait. Wrong row offsets would do
    harm: they are checked before this returns.
    """
    if capturing(indices):
        return lambda: None
    if row_offsets is not None:
        check_ascending(row_offsets, indices.shape[0])
    if not indices.numel():
        return lambda: None
    with on_device(indices):
        # From a GPU this is pinned memory, so that the copy does not wait.
        ends = torch.stack(indices.aminmax()).to("cpu", non_blocking=True)
        copied = torch.cuda.Event() if indices.is_cuda else None  # type: ignore[no-untyped-call]
        if copied is not None:
            copied.record()

    def finish() -> None:
        if copied is not None:
            copied.synchronize()
        check_ends(name, ends, indices, count)

    return finish


def ready(tensor: Tensor) -> Tensor:
    """Return the tensor as the kernels take it: contiguous, and detached from its graph.

    For Triton's interpreter, which multiplies and rounds bfloat16 wrongly, that becomes float32.
    """
    if interpreting() and tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().contiguous()


def two_counts(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two counts () int64, both 0. An op's results may not share memory."""
    first, second = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
    return first, second


def describable(matrix: Tensor) -> bool:
    """Whether a tensor descriptor can read a contiguous matrix: its rows are multiples of 16 bytes.

    CUDA's driver API (cuTensorMapEncodeTiled) asks for addresses and strides that are such.
    """
    return matrix.data_ptr() % 16 == 0 and matrix.shape[1] * matrix.element_size() % 16 == 0
