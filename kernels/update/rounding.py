"""Rounds to bfloat16 at random, by random bits that depend on a key and a number's place alone.

bfloat16 keeps 8 bits. Adam changes its second moment by a thousandth in an update: rounded to the
nearest, that is no change at all. Rounded up or down at random, with the probabilities that make
the expectation right, small changes are kept on average (Zamirai et al., arXiv 2010.06192, do so
with weights).
"""

from typing import TypeVar

import torch
from torch import Tensor

Bits = TypeVar("Bits", int, Tensor)
"""A number from 0 to 2^32 - 1, or an int64 tensor of them."""

WORD = (1 << 32) - 1


def mix(bits: Bits) -> Bits:
    """Return 32 bits that look random: the hash "lowbias32" of nullprogram.com/blog/2018/07/31."""
    bits = ((bits ^ (bits >> 16)) * 0x7FEB352D) & WORD
    bits = ((bits ^ (bits >> 15)) * 0x846CA68B) & WORD
    return bits ^ (bits >> 16)


def key_of(seed: int, step: int) -> int:
    """Return the key of an update, 0 to 2^32 - 1."""
    return mix((seed & WORD) ^ mix(step & WORD))


def random_bits(key: int, first: int, like: Tensor) -> Tensor:
    """Return the bits of the rows from `first` on, int64, in the shape of `like` (rows, D)."""
    rows, dim = like.shape
    latents = torch.arange(first, first + rows, device=like.device) & WORD
    columns = (torch.arange(dim, device=like.device) * 0x9E3779B9) & WORD
    return mix((mix(mix(latents) ^ key)[:, None] + columns) & WORD)


def round_at_random(numbers: Tensor, random: Tensor) -> Tensor:
    """Return `numbers`, float32, as bfloat16: up with the probability of the bits that are cut off.

    Args:
        numbers: any shape.
        random: the same shape, int64 from 0 to 2^16 - 1.

    """
    bits = numbers.view(torch.int32)
    added = torch.where(numbers.isfinite(), random, 0).to(torch.int32)
    return ((bits + added) >> 16).to(torch.int16).view(torch.bfloat16)
