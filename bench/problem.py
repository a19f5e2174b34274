"""Describes what is measured on: sizes, the weights of an autoencoder, a batch of inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

BIAS = 0.5  # standard deviation of biases; scores have 1, so some latents are far more active


class Shape(NamedTuple):
    """N tokens of width D, L latents, k of them active."""

    num_tokens: int
    d_in: int
    num_latents: int
    k: int

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes by the letters of the field: N, D, L, k."""
        return dict(zip("NDLk", self, strict=True))

    def __str__(self) -> str:
        return in_words(self.sizes)


def in_words(sizes: Mapping[str, int]) -> str:
    """Return sizes as text, such as "N = 2,048, k = 32"."""
    return ", ".join(f"{name} = {size:,}" for name, size in sizes.items())


class Weights(NamedTuple):
    """The weights of one TopK autoencoder, as peers take them; its encoder sees x - b_dec."""

    k: int
    W_enc: Tensor
    """(L, D)."""
    b_enc: Tensor
    """(L,)."""
    W_dec: Tensor
    """(L, D)."""
    b_dec: Tensor
    """(D,)."""


@dataclass(frozen=True)
class Problem:
    """An autoencoder, a batch, and all other inputs of the kernels, of one dtype on one device.

    Scores have standard deviation 1, and the largest ones lie anywhere, as in a trained dictionary
    whose latents stand in no order.
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
    """(D,); the kernels' encoder does not subtract it."""
    g: Tensor
    """(N, D): a gradient of the reconstruction."""
    values: Tensor
    """(N, k): random numbers, until `encoded` replaces them."""
    indices: Tensor
    """(N, k) int64."""
    d_values: Tensor
    """(N, k): a gradient of the values."""

    @property
    def shape(self) -> Shape:
        """The sizes."""
        rows, d_in = self.x.shape
        return Shape(rows, d_in, len(self.W_enc), self.k)

    @property
    def weights(self) -> Weights:
        """The autoencoder; b_dec must be 0, because a peer's encoder subtracts it."""
        return Weights(self.k, self.W_enc, self.b_enc, self.W_dec, self.b_dec)

    def encoded(self, values: Tensor, indices: Tensor) -> "Problem":
        """Return the same problem with the result of an encoder."""
        return replace(self, values=values, indices=indices)


class Numbers:
    """A source of random tensors of one dtype on one device; equal seeds give equal numbers."""

    def __init__(self, dtype: torch.dtype, device: torch.device, seed: int = 0) -> None:
        self.dtype = dtype
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Return normal numbers of standard deviation ``scale``."""
        numbers = torch.randn(
            shape, dtype=self.dtype, device=self.device, generator=self._generator
        )
        return numbers.mul_(scale)

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
    """Return a problem on which the ways of a job are timed.

    The decoder begins as the encoder, as in training, so that a step that chooses other latents has
    another error. The bias of the decoder is 0, because some peers subtract it first.
    """
    problem = random_problem(shape, numbers)
    problem.W_dec.copy_(problem.W_enc)
    problem.b_dec.zero_()
    return problem
