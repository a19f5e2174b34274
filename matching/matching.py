"""The result of a match, as it is held in memory and in its .npz file."""

import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.files import StrPath, atomic_write

GAP_PER_PAIR = 1e-9
"""A matching is certified when its gap is at most this, times the number of matched pairs."""

_STORED: dict[str, type[np.generic]] = {
    "rows": np.int64,
    "cols": np.int64,
    "cosine": np.float32,
    "row_price": np.float64,
    "col_price": np.float64,
    "row_max": np.float32,
    "col_max": np.float32,
}
_SCALARS = ("objective", "upper_bound")


@dataclass(frozen=True, eq=False)
class Matching:
    """A one-to-one map between two dictionaries' latents, with the prices that prove it optimal.

    Latent ``rows[n]`` of A (L_A latents) is matched to latent ``cols[n]`` of B (L_B latents).
    Every latent of the smaller dictionary is matched, so M = min(L_A, L_B) pairs. The arrays are
    copied and made read-only; `verify` checks what they say.
    """

    rows: NDArray[np.int64]
    """(M,) latents of A, ascending."""
    cols: NDArray[np.int64]
    """(M,) their matches in B."""
    cosine: NDArray[np.float64]
    """(M,) cosine similarity of each pair; rounded to float32 in the file."""
    row_price: NDArray[np.float64]
    """(L_A,) dual prices u; for every pair u_i + v_j >= cosine, except for the violation that
    ``upper_bound`` accounts for."""
    col_price: NDArray[np.float64]
    """(L_B,) dual prices v. Those of the larger side are >= 0, and 0 where unmatched."""
    row_max: NDArray[np.float64]
    """(L_A,) the best cosine of each latent of A with any of B; rounded to float32 in the file."""
    col_max: NDArray[np.float64]
    """(L_B,) the best cosine of each latent of B with any of A; rounded to float32 in the file."""
    objective: float
    """P, the sum of the matched cosines."""
    upper_bound: float
    """D = sum u + sum v + M * max(0, worst violation): no matching's objective exceeds it."""
    absolute: bool = False
    """Whether all cosines above count by their absolute values."""
    stats: dict[str, Any] = field(default_factory=dict)
    """How it was found: method, seconds by phase, peak_memory_bytes. Not kept in the file."""

    def __post_init__(self) -> None:
        for name, stored in _STORED.items():
            wanted = np.int64 if stored is np.int64 else np.float64
            object.__setattr__(self, name, _read_only(getattr(self, name), name, wanted))
        if not len(self.rows) == len(self.cols) == len(self.cosine):
            raise ValueError(
                "rows, cols and cosine must have one length, "
                f"not {len(self.rows):,}, {len(self.cols):,} and {len(self.cosine):,}"
            )
        for name in _SCALARS:
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def gap(self) -> float:
        """D - P: at most this much could a better matching gain."""
        return self.upper_bound - self.objective

    @property
    def certified(self) -> bool:
        """Whether the gap is within 1e-9 a pair, which is the rounding of float64 and no more."""
        return abs(self.gap) <= GAP_PER_PAIR * len(self.rows)

    def by_row(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the match (L_A,) of each latent of A, and its cosine; -1 and NaN without one."""
        partner = np.full(len(self.row_max), -1, dtype=np.int64)
        cosine = np.full(len(self.row_max), np.nan)
        partner[self.rows], cosine[self.rows] = self.cols, self.cosine
        return partner, cosine

    def swapped(self) -> "Matching":
        """Return the same matching seen from B: rows are B's latents, columns A's."""
        order = np.argsort(self.cols)
        return replace(
            self,
            rows=self.cols[order],
            cols=self.rows[order],
            cosine=self.cosine[order],
            row_price=self.col_price,
            col_price=self.row_price,
            row_max=self.col_max,
            col_max=self.row_max,
        )

    def as_stored(self) -> "Matching":
        """Return the matching as it comes back from its file: cosines rounded to float32."""
        rounded = {
            name: getattr(self, name).astype(np.float32)
            for name, dtype in _STORED.items()
            if dtype is np.float32
        }
        return replace(self, **rounded)

    def save(self, path: StrPath, **columns: NDArray[Any]) -> None:
        """Write the arrays, objective, upper bound and ``absolute`` to a .npz file, atomically.

        Args:
            path: the file.
            columns: further arrays for the file, such as one number a pair.

        Raises:
            OSError: the write failed; the old file, if any, is untouched.
        """
        content: dict[str, Any] = {
            **{name: getattr(self, name).astype(dtype) for name, dtype in _STORED.items()},
            **{name: np.float64(getattr(self, name)) for name in _SCALARS},
            "absolute": np.bool_(self.absolute),
            **columns,
        }
        # A file object, because savez would append ".npz" to the temporary name.
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, **content)

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read what `save` wrote. Cosines come back as they were rounded to float32.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is corrupt or lacks an array.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                content = {name: stored[name] for name in (*_STORED, *_SCALARS)}
                # Matchings that were written before there was a choice lack it.
                absolute = bool(stored["absolute"]) if "absolute" in stored else False
            return cls(**content, absolute=absolute)
        except KeyError as error:
            raise ValueError(f"{path} is no matching: {error.args[0]}") from error
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no matching: {error}") from error


def _read_only(values: ArrayLike, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    given = np.asarray(values)
    kinds = "iu" if dtype is np.int64 else "f"
    if given.ndim != 1 or given.dtype.kind not in kinds:
        wanted = "integers" if dtype is np.int64 else "floats"
        raise ValueError(
            f"{name} must be a 1-D array of {wanted}, not {given.dtype} of shape {given.shape}"
        )
    copy = given.astype(dtype)
    copy.setflags(write=False)
    return copy
