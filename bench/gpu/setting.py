"""Says on what a run measures: the sizes for a GPU, or toy sizes for a rehearsal on a CPU."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...kernels.backends import Backend, interpreting
from ..clock import CpuClock
from ..problem import Numbers, Problem, Shape, timing_problem
from .cuda_clock import find_gpu
from .torch_ways import chunked_encode

SHAPES = (Shape(8_192, 4_096, 131_072, 64), Shape(8_192, 768, 131_072, 32))
PAIRS = (32_768, 4_096)
MATCHES = ((32_768, 1_024), (131_072, 4_096))


@dataclass(frozen=True)
class Setting:
    """All that a stage needs to know."""

    clock: CpuClock
    backend: Backend
    dtype: torch.dtype = torch.bfloat16
    """Of the inputs, except those of the stages match and float32."""
    compiler: str = "inductor"
    """The backend of torch.compile."""
    shapes: Sequence[Shape] = SHAPES
    """Of the autoencoders that are timed."""
    pairs: tuple[int, int] = PAIRS
    """L and D of one block of a match."""
    matches: Sequence[tuple[int, int]] = MATCHES
    """L and D of whole matches."""
    square: int = 8_192
    """The side of the square products."""
    copied: int = 1 << 30
    """The bytes of a copy."""
    big: tuple[int, int] = (2**31, 4_096)
    """How many numbers one tensor exceeds, and its width."""
    big_bytes: int = 48 << 30
    """The free memory that this takes."""
    workers: int = 14
    """How many processes compile at a time."""
    seconds: float = 0.8
    """For how long a call is repeated."""
    rehearsal: bool = False

    @property
    def device(self) -> torch.device:
        """The device."""
        return self.clock.device

    def problem(self, shape: Shape, dtype: torch.dtype | None = None) -> Problem:
        """Return an autoencoder with the active latents of its batch, by torch."""
        problem = timing_problem(shape, Numbers(dtype or self.dtype, self.device))
        found = chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
        return problem.encoded(*found)


def gpu_setting() -> Setting:
    """Return the setting of a measurement.

    Raises:
        ValueError: torch finds no GPU that it can use.
    """
    return Setting(find_gpu(), "triton")


def toy_setting() -> Setting:
    """Return the setting of a rehearsal: the reference on a CPU, or Triton's interpreter."""
    torch.set_num_threads(1)
    # The interpreter computes in float32 where a GPU computes in bfloat16.
    backend: Backend = "triton" if interpreting() else "reference"
    dtype = torch.float16 if interpreting() else torch.bfloat16
    return Setting(
        CpuClock(), backend, dtype, "eager",
        shapes=(Shape(5, 16, 40, 3), Shape(4, 8, 20, 2)), pairs=(20, 8),
        matches=((90, 8), (120, 16)), square=32, copied=1 << 16, big=(1_500, 40), big_bytes=1,
        workers=1, seconds=0.0, rehearsal=True,
    )  # fmt: skip
