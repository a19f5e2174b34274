"""Says what a run checks and times; the most important shapes come first."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ...kernels.backends import Backend
from ..problem import Shape
from .checks import BIG, BIG_BYTES, BIG_D, ODD_SHAPE, REAL_SHAPES
from .ops import OPS, Op

KERNELS: dict[Op, tuple[str, ...]] = {
    "encode": ("linear_topk",),
    "decode": ("sparse_decode", "gather_dot"),
    "autoencode": ("topk_autoencode",),
    "grads": ("latent_grads",),
    "step": ("linear_topk", "decode_error", "latent_grads"),
    "match": ("mutual_topk", "pairs_above"),
}
"""The kernels that are checked for each job."""

TOKENS, WIDTHS, LATENTS, ACTIVE = (
    (8_192, 4_096),
    (768, 4_096),
    (131_072, 65_536, 32_768),
    (64, 32, 128),
)
MATCH = (131_072, 4_096)


def shapes_by_importance() -> list[Shape]:
    """Return all shapes; those with the first choice of N, L and k come first."""
    every = [
        Shape(n, d, latents, k)
        for latents in LATENTS
        for n in TOKENS
        for k in ACTIVE
        for d in WIDTHS
    ]
    first = TOKENS[0], LATENTS[0], ACTIVE[0]
    return sorted(
        every,
        key=lambda s: sum(
            own != usual
            for own, usual in zip((s.num_tokens, s.num_latents, s.k), first, strict=True)
        ),
    )


@dataclass(frozen=True)
class Plan:
    """All settings of a run; the defaults are for a GPU."""

    dtype: torch.dtype = torch.bfloat16
    """The dtype of the timed inputs; a match is always float32."""
    minutes: float = 8.0
    """The run ends after so many minutes, even if something is left."""
    ops: Sequence[Op] = OPS
    backend: Backend = "triton"
    compiler: str = "inductor"
    """The backend of torch.compile."""
    shapes: Sequence[Shape] = field(default_factory=shapes_by_importance)
    compiled: int = 2
    """At how many of the first shapes torch.compile is timed; compiling takes long."""
    match: tuple[int, int] = MATCH
    """L and D of the whole match."""
    match_after: int = 2
    """How many shapes come before the match."""
    square: int = 8_192
    rounds: int = 20
    odd: Shape = ODD_SHAPE
    real: Sequence[Shape] = REAL_SHAPES
    big: tuple[int, int] = (BIG, BIG_D)
    big_bytes: int = BIG_BYTES
    other_dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16, torch.float16)
    """Dtypes that are checked too, when all is timed."""
