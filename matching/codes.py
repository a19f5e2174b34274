"""Which latents of an SAE are active on each token, and how strongly."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import extension as _native

Compressed = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""A sparse matrix by rows: row r holds members[offsets[r] : offsets[r + 1]] and their values."""

MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Codes:
    """The active latents of an SAE on N tokens, compressed by token.

    For example, with four latents of which token 0 activates latents 3 and 1, token 1 none and
    token 2 latent 1: ``offsets`` [0, 2, 2, 3], ``latents`` [3, 1, 1], and their three values.

    Args:
        offsets: (N + 1,) where each token's latents begin, from 0 to E; N is at least 1.
        latents: (E,) the active latents of token 0, of token 1, and so on; in any order within a
            token, each once.
        values: (E,) their activations, taken as float32: finite numbers other than 0.
        num_latents: L.

    Raises:
        TypeError: an array is not of integers, or not of real numbers.
        ValueError: shapes do not fit, an index is out of range or given twice for one token, or a
            value is 0, NaN or infinite.
    """

    offsets: NDArray[np.int64]
    latents: NDArray[np.int32]
    values: NDArray[np.float32]
    num_latents: int
    fired: NDArray[np.int64] = field(init=False, repr=False)
    """(L,) on how many tokens each latent is active."""
    total: NDArray[np.float64] = field(init=False, repr=False)
    """(L,) the sum of each latent's activations."""
    squares: NDArray[np.float64] = field(init=False, repr=False)
    """(L,) the sum of their squares."""

    def __post_init__(self) -> None:
        if self.num_latents < 1:
            raise ValueError(f"num_latents: expected 1 or more, got {self.num_latents}")
        arrays = {
            "offsets": _vector("offsets", self.offsets, "iu", np.int64),
            "latents": _vector("latents", self.latents, "iu", np.int32),
            "values": _vector("values", self.values, "f", np.float32),
        }
        if not 2 <= len(arrays["offsets"]) <= MOST_TOKENS:
            raise ValueError(
                f"offsets: expected those of 1 to {MOST_TOKENS - 1:,} tokens, got "
                f"{len(arrays['offsets']):,} entries"
            )
        sums = {
            "fired": np.empty(self.num_latents, dtype=np.int64),
            "total": np.empty(self.num_latents),
            "squares": np.empty(self.num_latents),
        }
        _native.sum_codes(*arrays.values(), *sums.values())
        for name, array in {**arrays, **sums}.items():
            object.__setattr__(self, name, array)

    @property
    def tokens(self) -> int:
        """N."""
        return len(self.offsets) - 1

    @classmethod
    def from_topk(cls, values: ArrayLike, indices: ArrayLike, num_latents: int) -> Self:
        """Return the codes that an SAE's `encode` gives.

        Args:
            values: (N, k) real numbers; those that are 0 are left out.
            indices: (N, k) which latents these are; places below 0 are left out.
            num_latents: L.

        Raises:
            ValueError: the two are not 2-D or differ in shape; or as for the class.
        """
        value, index = np.asarray(values, dtype=np.float32), np.asarray(indices)
        if value.ndim != 2 or value.shape != index.shape:
            raise ValueError(
                "values and indices must both be (N, k), not of shapes "
                f"{value.shape} and {index.shape}"
            )
        active = (index >= 0) & (value != 0)
        offsets = np.append(0, np.cumsum(active.sum(axis=1)))
        return cls(offsets, index[active], value[active], num_latents)

    @property
    def by_token(self) -> Compressed:
        """The latents of each token."""
        return self.offsets, self.latents, self.values

    def by_latent(self) -> Compressed:
        """Return the tokens of each latent, ascending, and its activations on them."""
        from scipy.sparse import csr_array

        shape = self.tokens, self.num_latents
        by_latent = csr_array((self.values, self.latents, self.offsets), shape=shape).tocsc()
        return (
            by_latent.indptr.astype(np.int64),
            by_latent.indices.astype(np.int32, copy=False),
            by_latent.data,
        )


def _vector(name: str, given: ArrayLike, kinds: str, dtype: type[np.generic]) -> NDArray:
    array = np.asarray(given)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a 1-D array, got shape {array.shape}")
    if array.size and array.dtype.kind not in kinds:
        wanted = "integers" if kinds == "iu" else "floats"
        raise TypeError(f"{name}: expected {wanted}, got {array.dtype}")
    if array.size and dtype is np.int32 and not -1 <= array.min() <= array.max() < 2**31:
        raise ValueError(f"{name}: expected entries from 0 to {2**31 - 1:,}")
    return np.require(array, dtype, ["C", "A"])
