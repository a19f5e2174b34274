"""What one benchmark of one shape found, and the gate before its clock."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..common.memory import PeakMemory
from ..kernels.topk import ScanStats
from .timing import interleaved_medians

OURS = "twinsae"
PRODUCT = "product alone"

Way = Callable[[], object]


@dataclass(frozen=True)
class Measurement:
    """Medians of several ways of doing one thing, with twinsae's among them."""

    sizes: Mapping[str, int]
    """The shape, by the field's letters."""
    seconds: Mapping[str, float]
    """Median by way; `OURS` is ours, `PRODUCT` torch's bare float32 product of the same sizes."""
    operations: int
    """Floating-point operations of that product."""
    peak_bytes: Mapping[str, int]
    """By way: the peak of one call above its inputs and outputs, sampled every 10 ms."""
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By way: anything else worth a few words."""


def measure(
    sizes: Mapping[str, int], ways: Mapping[str, Way], operations: int, rounds: int
) -> Measurement:
    """Time `ways`, one of which is `OURS`, and measure their memory; see `Measurement`."""
    peaks = {way: peak_above_outputs(call) for way, call in ways.items()}
    seconds = interleaved_medians(ways, rounds)
    return Measurement(sizes, seconds, operations, peaks)


def peak_above_outputs(call: Way) -> int:
    """Return by how many bytes memory grew while `call` ran, less what it returned."""
    with PeakMemory() as memory:
        result = call()
    return max(0, memory.peak_bytes - _size(result))


def _size(result: object) -> int:
    """Bytes of all tensors and arrays in nested tuples and mappings."""
    if isinstance(result, Tensor | np.ndarray):
        return int(result.nbytes)
    if isinstance(result, Mapping):
        return sum(map(_size, result.values()))
    return sum(map(_size, result)) if isinstance(result, tuple) else 0


def scan_fact(stats: ScanStats, rows: int) -> list[str]:
    """Return, in words, what a scan of so many rows re-scored and redid."""
    survivors, redone = int(stats.survivors), int(stats.rows_redone)
    if not survivors and not redone:
        return ["all scored in float32"]
    return [f"{survivors / rows:,.1f} survivors re-scored per row", f"{redone:,} rows redone"]


def refuse_unless_close(
    what: str, ours: Tensor, theirs: Tensor, allowed: float, peer: str = "torch"
) -> None:
    """Raise where two results differ by more than float32's rounding explains.

    Args:
        what: names the result.
        ours: any shape, finite.
        theirs: the same shape.
        allowed: the largest difference.
        peer: whose result theirs is.

    Raises:
        RuntimeError: they differ, so there is nothing to time.
    """
    worst = float((ours - theirs).abs().max()) if ours.numel() else 0.0
    if not worst <= allowed:
        raise RuntimeError(
            f"{what}: {worst:.3g} away from {peer}'s, more than {allowed:.3g}: not timed"
        )


def score_rounding(left: Tensor, right: Tensor, bias: Tensor | None = None) -> float:
    """Bound the rounding of the float32 scores left @ right.T + bias.

    The errors of D roundings, each at most 2^-24 of the largest partial sum, are of either sign, so
    that they add up to some sqrt(D) of them; twice that for two results that are compared.

    Args:
        left: (N, D).
        right: (L, D).
        bias: (L,) or None.
    """
    largest = float(left.norm(dim=1).max() * right.norm(dim=1).max())
    if bias is not None:
        largest += float(bias.abs().max())
    return 2 * 2.0**-23 * math.sqrt(left.shape[1]) * largest
