"""How a stream's activations lie in memory, and in which order they are read.

The activations of a text, in its order, are cut in blocks of one size; the last may be shorter. A
block is filled in the text's order and read in a random one. While one block is read, the next is
filled, and there is never a third.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap

import numpy as np
import torch
from torch import Tensor

SLOTS = 2
"""Blocks that exist at once: one is read, one is filled."""


@dataclass(frozen=True)
class BlockLayout:
    """Where the activations of one block lie.

    Args:
        widths: d_in of each hookpoint.
        dtype: of the activations, such as "bfloat16".
        rows: tokens in a block, except for the last of a text.
    """

    widths: Mapping[str, int]
    dtype: str
    rows: int

    @property
    def memory(self) -> int:
        """Bytes of all slots together."""
        return SLOTS * self.rows * self._row_bytes

    @property
    def _row_bytes(self) -> int:
        itemsize: int = getattr(torch, self.dtype).itemsize
        return sum(self.widths.values()) * itemsize

    def slots(self, memory: mmap) -> list[dict[str, Tensor]]:
        """Return the (rows, d_in) tensors of each slot, by hookpoint, within shared memory."""
        dtype = getattr(torch, self.dtype)
        tensors = []
        offset = 0
        for _ in range(SLOTS):
            slot = {}
            for name, width in self.widths.items():
                count = self.rows * width
                flat = torch.frombuffer(memory, dtype=dtype, count=count, offset=offset)
                slot[name] = flat.view(self.rows, width)
                offset += count * dtype.itemsize
            tensors.append(slot)
        return tensors

    def blocks(self, tokens: int) -> int:
        """Return how many blocks the activations of ``tokens`` tokens fill."""
        return math.ceil(tokens / self.rows)


def block_order(seed: int, epoch: int, block: int, rows: int) -> Tensor:
    """Return the order in which the rows of a block are read, (rows,) int64.

    It depends on the arguments only, so that a run that is resumed reads what it would have read.
    """
    return torch.from_numpy(np.random.default_rng([seed, epoch, block]).permutation(rows))
