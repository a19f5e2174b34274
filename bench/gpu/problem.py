"""What the kernels are checked and timed on: random numbers on a device."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..inputs import Shape

BIAS = 0.5  # standard deviation, where scores have 1: some latents are active far more often
_AT_ONCE = 1 << 26  # numbers made at a time


@dataclass(frozen=True)
class Problem:
    """An autoencoder, a batch, and what its kernels take, all of one dtype on one device.

    Scores have standard deviation 1 and winners lie anywhere, as in a trained dictionary whose
    latents stand in no order.
    """

    k: int
    x: Tensor
    """(N, D)."""
    W_enc: Tensor
    """(L, D)."""
    b_enc: Tensor
    """(L,)."""
    W_dec: Tensor
    """(L, D)."""
    b_dec: Tensor
    """(D,); the encoder does not subtract it."""
    g: Tensor
    """(N, D): a gradient of the reconstruction."""
    values: Tensor
    """(N, k), not of this encoder until `encoded`."""
    indices: Tensor
    """(N, k) int64."""
    d_values: Tensor
    """(N, k): a gradient of the values."""

    @property
    def shape(self) -> Shape:
        """The sizes."""
        rows, d_in = self.x.shape
        return Shape(rows, d_in, len(self.W_enc), self.k)

    def encoded(self, values: Tensor, indices: Tensor) -> "Problem":
        """Return the same with an encoder's result."""
        return replace(self, values=values, indices=indices)


class Numbers:
    """A source of random tensors of one dtype on one device; the same seed gives the same."""

    def __init__(self, dtype: torch.dtype, device: torch.device, seed: int = 0) -> None:
        self.dtype = dtype
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Return normal numbers."""
        numbers = torch.randn(
            shape, dtype=self.dtype, device=self.device, generator=self._generator
        )
        return numbers.mul_(scale)

    def whole(self, *shape: int, most: int) -> Tensor:
        """Return whole numbers from -most to most; a little memory beside the result is taken."""
        out = torch.empty(shape, dtype=self.dtype, device=self.device)
        flat = out.view(-1)
        for start in range(0, len(flat), _AT_ONCE):
            part = flat[start : start + _AT_ONCE]
            part.copy_(self.indices(len(part), first=-most, count=2 * most + 1))
        return out

    def indices(self, *shape: int, first: int, count: int) -> Tensor:
        """Return int64 numbers from first to first + count - 1."""
        return torch.randint(
            first, first + count, shape, device=self.device, generator=self._generator
        )


def random_problem(shape: Shape, numbers: Numbers) -> Problem:
    """Return an autoencoder of normal numbers, a batch, and random active latents."""
    rows, d_in, latents, k = shape
    unit = d_in**-0.5
    return Problem(
        k,
        numbers.normal(rows, d_in),
        numbers.normal(latents, d_in, scale=unit),
        numbers.normal(latents, scale=BIAS),
        numbers.normal(latents, d_in, scale=unit),
        numbers.normal(d_in),
        numbers.normal(rows, d_in),
        numbers.normal(rows, k),
        numbers.indices(rows, k, first=0, count=latents),
        numbers.normal(rows, k),
    )


def timing_problem(shape: Shape, numbers: Numbers) -> Problem:
    """Return a problem to time on.

    The decoder begins as the encoder, as in training: a step with other latents has another error.
    Its bias is 0, as some peers subtract it first.
    """
    problem = random_problem(shape, numbers)
    problem.W_dec.copy_(problem.W_enc)
    problem.b_dec.zero_()
    return problem
