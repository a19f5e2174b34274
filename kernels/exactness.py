"""Has torch compute float32 products in float32, with the same bits every time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any

import torch

_one_thread = RLock()


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of scores and sums for inputs of `dtype`: float32, or float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """In this context, products on `device` have no error except a float32 dot product's rounding.

    Callers may have asked torch for less: the context turns off autocast, TF32, and
    `set_float32_matmul_precision("medium")`, which means bfloat16 products on a CPU. On a CPU it
    also sets the number of threads to one, because the bits of torch's float32 product depend on
    that number. With the MKL of the pip wheels they do at D = 1,000 and above for most N and L
    that were tried, and at smaller D for odd shapes.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cpu":
            onednn: Any = torch.backends.mkldnn
            stack.enter_context(_full_float32(onednn.matmul))
            stack.enter_context(_single_thread())
        elif device.type == "cuda":
            stack.enter_context(_full_float32(torch.backends.cuda.matmul))
        yield


@contextmanager
def _full_float32(settings: Any) -> Iterator[None]:
    before = settings.fp32_precision
    if before in ("none", "ieee"):
        yield
        return
    settings.fp32_precision = "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = before


@contextmanager
def _single_thread() -> Iterator[None]:
    # The setting belongs to the whole process: without the lock, two callers could each restore
    # the other's 1.
    with _one_thread:
        threads = torch.get_num_threads()
        if threads > 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if threads > 1:
                torch.set_num_threads(threads)
