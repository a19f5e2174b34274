"""Equal rows of a dictionary, taken together."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..rows import StoredRows, block_rows
from .selection import Selection


@dataclass(frozen=True)
class Classes:
    """Some rows of a dictionary; rows that are equal to the last bit make one class."""

    rows: Selection
    """One row of each class: n rows."""
    sizes: NDArray[np.int64]
    """(n,) how many rows each class has."""
    latents: NDArray[np.int64]
    """(sum of sizes,) the dictionary's rows, class by class."""

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return each latent's value, (L,), from its class's, (n,); 0 for rows of no class."""
        out = np.zeros(self.rows.stored.num_latents, dtype=values.dtype)
        out[self.latents] = np.repeat(values, self.sizes)
        return out


def equal_rows(stored: StoredRows, index: Tensor) -> Classes:
    """Put equal rows together.

    Equal rows have equal lengths, so only those that share theirs are looked at: few, as a rule.
    These are compared by 128 bits of a cryptographic hash.

    Args:
        stored: the dictionary.
        index: (m,) int64 which of its rows to look at, on the rows' device.
    """
    lengths = stored.norm[index].cpu().numpy()
    _, same, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    first = np.arange(len(index))
    known: dict[bytes, int] = {}
    suspects = np.flatnonzero(counts[same] > 1)
    for place, row in zip(suspects, _bytes(stored, index, suspects), strict=True):
        digest = hashlib.blake2b(row, digest_size=16).digest()
        first[place] = known.setdefault(digest, int(place))
    of_class, member_of, sizes = np.unique(first, return_inverse=True, return_counts=True)
    order = np.argsort(member_of, kind="stable")
    latents = index.cpu().numpy()[order]
    return Classes(
        Selection(stored, index[torch.from_numpy(of_class).to(index.device)]), sizes, latents
    )


def _bytes(stored: StoredRows, index: Tensor, places: NDArray[np.int64]) -> Iterator[bytes]:
    """Yield the rows ``index[places]`` as they are stored."""
    size = block_rows(stored.d_in)
    for start in range(0, len(places), size):
        part = index[torch.from_numpy(places[start : start + size]).to(index.device)]
        for row in stored.matrix[part].cpu().view(torch.uint8).numpy():
            yield row.tobytes()
