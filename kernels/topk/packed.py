"""Packs a frozen weight once, for many scans."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import checks
from ..backends import resolve_backend


@dataclass(frozen=True)
class PackedWeight:
    """A frozen weight, and what a scan reads in its place; `pack` makes it."""

    weight: Tensor
    """(L, D): the weight that was packed, not a copy. It must not change afterwards."""
    packed: tuple[Tensor, ...]
    """What the backend that "auto" takes reads: integer codes or float32 panels on a CPU, float16
    rows with their bounds for a float32 weight on a GPU, and otherwise nothing."""


def pack(weight: Tensor) -> PackedWeight:
    """Prepare a frozen weight once, for calls that use it again.

    Pass the result wherever `weight` or `b` goes. On a CPU it takes the memory of one or two int8
    copies of the weight if the scans read integer codes there, otherwise of a float32 copy. On a
    GPU a float32 weight takes the memory of a float16 copy, and other weights take none. A scan
    that cannot use it (with a `mask`, or on another backend) reads the original weight. It serves
    the instruction set that it was made for: do not change `TWINSAE_CPU_ISA` in between.

    Args:
        weight: (L, D) float32, bfloat16, float16 or float64.

    Returns:
        The packed weight. It gets no gradient: a call that would have to give it one raises
        ValueError.

    Raises:
        ValueError: the shape is wrong.
        TypeError: the dtype is wrong.

    """
    checks.check_floats("weight", weight, 2)
    served = resolve_backend("linear_topk", "auto", weight)
    if served == "native":
        from .native import pack_weight

        return PackedWeight(weight, pack_weight(weight))
    if served == "triton" and weight.dtype == torch.float32:
        from .triton.bound import rough

        return PackedWeight(weight, tuple(rough(weight.detach().contiguous())))
    return PackedWeight(weight, ())


def unpack(name: str, weight: Tensor | PackedWeight) -> tuple[Tensor, list[Tensor]]:
    """Return the tensor and what was packed; raise where a packed weight would need a gradient."""
    if not isinstance(weight, PackedWeight):
        return weight, []
    if weight.weight.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"{name}: a packed weight gets no gradient; call this under torch.no_grad(), "
            "or pass the weight itself"
        )
    return weight.weight, list(weight.packed)
