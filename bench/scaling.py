"""Times how an encoding grows with its latents and with its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Literal

import torch

from ..kernels.topk import linear_topk, pack
from .clock import CpuClock
from .problem import Shape

LATENTS = Shape(1024, 576, 131072, 32)  # L grows from a sixteenth of this to all of it
TOKENS = Shape(8192, 576, 20736, 32)  # N grows in the same way
PARTS = (16, 8, 4, 2, 1)

IN_CALL, BEFORE = "packed in the call", "packed before"


@dataclass(frozen=True)
class Growth:
    """The times of an encoding while one of its sizes grows and the others stay."""

    grows: Literal["N", "L"]
    """The size that grows."""
    shape: Shape
    """The largest sizes."""
    seconds: Mapping[str, Mapping[int, float]]
    """{way: {size: median seconds divided by the size}}."""

    def deviation(self, way: str) -> float:
        """Return the largest distance of the times of a way from their median, as a share of it."""
        times = self.seconds[way].values()
        middle = median(times)
        return max(abs(time / middle - 1) for time in times)


@torch.no_grad()
def bench_growth(grows: Literal["N", "L"], shape: Shape, rounds: int) -> Growth:
    """Time `linear_topk` on random numbers, per latent (L) or per token (N); all sizes take turns.

    Args:
        grows: the size that grows, from a sixteenth of that of ``shape`` to all of it.
        shape: the largest sizes.
        rounds: how often each size is timed.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape.num_tokens, shape.d_in, generator=generator)
    weight = torch.randn(shape.num_latents, shape.d_in, generator=generator)
    sizes = [(shape.num_tokens if grows == "N" else shape.num_latents) // part for part in PARTS]
    calls = {}
    for size in sizes:
        tokens, latents = (x[:size], weight) if grows == "N" else (x, weight[:size])
        calls[IN_CALL, size] = partial(linear_topk, tokens, latents, None, shape.k)
        calls[BEFORE, size] = partial(linear_topk, tokens, pack(latents), None, shape.k)
    taken = CpuClock().medians(calls, rounds)
    seconds = {way: {size: taken[way, size] / size for size in sizes} for way in (IN_CALL, BEFORE)}
    return Growth(grows, shape, seconds)
