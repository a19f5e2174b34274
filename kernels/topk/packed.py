"""A weight prepared once for many scans."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import checks
from ..backends import resolve_backend


@dataclass(frozen=True)
class PackedWeight:
    """A frozen weight and what the native scan reads in its place; made by `pack`."""

    weight: Tensor
    """(L, D): the weight that was packed, not a copy. It must not change afterwards."""
    packed: tuple[Tensor, ...]
    """What `auto` scans: the native backend's integer codes or float32 panels; on a GPU, float32
    rows as a scan that proposes reads them; else nothing."""


def pack(weight: Tensor) -> PackedWeight:
    """Prepare a frozen weight once, for calls that reuse it.

    Pass the result wherever `weight` or `b` goes. Where the native backend scans integer codes it
    takes the memory of one or two int8 copies of the weight, else of a float32 copy. On a GPU a
    float32 weight takes that of a float16 copy, and others take none. What a scan cannot use of it
    (with a `mask`, on other backends), it makes from the original. It serves the instruction set
    that it was made with: do not change `TWINSAE_CPU_ISA` in between.

    Args:
        weight: (L, D) float32, bfloat16, float16 or float64.

    Returns:
        The packed weight. Nothing flows back to it: using it while gradients are recorded and
        `weight.requires_grad` raises ValueError.

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
