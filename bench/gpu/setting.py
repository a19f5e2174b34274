"""Says where a check runs, and compares the bits of two runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ...kernels.backends import Backend
from ..problem import Numbers, Shape
from ..refuse import WrongResultError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Setting:
    """Where a case runs."""

    device: torch.device
    dtype: torch.dtype
    backend: Backend

    def numbers(self) -> Numbers:
        """Return a source of random numbers."""
        return Numbers(self.dtype, self.device)


Case = Callable[[Setting, Shape], None]
"""Raises WrongResultError if a kernel is wrong."""


def same_twice(call: Callable[[], Result]) -> Result:
    """Make a call twice, and return its result.

    Raises:
        WrongResultError: the second run gives other bits than the first.
    """
    first, second = call(), call()
    for ours, again in zip(_tensors(first), _tensors(second), strict=True):
        if not torch.equal(ours, again):
            count = int((ours != again).sum())
            raise WrongResultError(f"a second run differs in {count:,} of {ours.numel():,} numbers")
    return first


def _tensors(result: object) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, tuple):
        for part in result:
            yield from _tensors(part)
