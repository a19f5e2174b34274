"""Activations on disk: shards that are memory-mapped, checked once, and read in shuffled batches.

A store is a folder with ``meta.json`` and ``shard_00000.safetensors``, ``shard_00001.safetensors``
... Each shard holds these tensors:

| name | shape and dtype | what it is |
|---|---|---|
| ``activations`` | (rows, D) float | one row for each stored token |
| ``sequences`` | (S, T) int32 | the token ids of each sequence that the model was given; -1 after |
|  |  | the end of a shorter one |
| ``sequence`` | (rows,) int32 | the sequence that each row belongs to |
| ``position`` | (rows,) int32 | the place of each row's token in its sequence |

A token with no row was not stored: a BOS, an attention sink, or what came after the last row asked
for. Stores of format 1, and those written without tokens, have ``activations`` only.

``meta.json`` lists the shards with their SHA-256. While the store is filled, each finished shard is
described in a file beside it (`begun`), so a killed writer loses at most the shard it was working
on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.blocks import slices
from ...common.files import StrPath
from .begun import look
from .foreign import map_activations, open_file, open_folder
from .meta import read_meta
from .norms import choose_rows, row_norms, spread
from .shards import ChosenShard, Context, Shard, StoredShard, Tokens
from .shuffle import shuffled_rows

__all__ = ["ActivationStore", "map_activations", "open_activations"]


class ActivationStore:
    """Activations on disk, (rows, D), to read in shuffled batches; see `open_activations`.

    Attributes:
        path: the store's folder, or the one file.
        meta: what ``meta.json`` says; of activations that others wrote: ``file``, their path,
            and of one file the ``shape`` of its array.
        rows: number of activations, one a token.
        d_in: D, the length of an activation.
        dtype: dtype on disk.
    """

    def __init__(
        self,
        path: Path,
        meta: dict[str, Any],
        shards: Sequence[Shard],
        d_in: int,
        dtype: torch.dtype,
    ) -> None:
        self.path = path
        self.meta = meta
        self.d_in = d_in
        self.dtype = dtype
        self._shards = list(shards)
        self._starts = np.cumsum([0] + [shard.rows for shard in shards])
        self.rows = int(self._starts[-1])

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the data: a SHA-256 over the files' own, or that of the one file."""
        checksums = [shard.checksum for shard in self._shards]
        if len(checksums) == 1:
            return checksums[0]
        return hashlib.sha256("\n".join(checksums).encode()).hexdigest()

    @property
    def shard_rows(self) -> list[int]:
        """The number of rows in each file."""
        return [shard.rows for shard in self._shards]

    @property
    def shard_tokens(self) -> list[str | None]:
        """What tells which tokens the rows of each file are of; None where that is not known."""
        return [shard.tokens_digest for shard in self._shards]

    def tokens(self) -> Iterator[Tokens | None]:
        """Yield the sequences that the rows of each file are of; None where they are not stored.

        Raises:
            ValueError: while iterating: a shard is damaged.
        """
        return (shard.tokens for shard in self._shards)

    @cached_property
    def norms(self) -> np.ndarray:
        """(rows,) float64: the Euclidean length of each activation; all are read.

        Raises:
            ValueError: an activation is NaN or infinite, or a shard is damaged.
        """
        return row_norms(self._shards, self.path)

    @cached_property
    def norm_spread(self) -> dict[str, float]:
        """The ``min``, ``median``, ``p99.9`` (99.9th percentile) and ``max`` of `norms`."""
        known: dict[str, float] | None = self.meta.get("norms")
        return known or spread(self.norms)

    def without_outliers(self, max_norm: float) -> "ActivationStore":
        """Return the store without the rows whose norm is over ``max_norm`` times the median.

        The limit counts in medians because lengths differ between models and layers: one number
        does for all. Nothing on disk changes. Of the new store, ``meta["max_norm"]`` is the number
        given and ``meta["dropped"]`` how many rows were left out.

        Raises:
            ValueError: ``max_norm`` is below 1.
        """
        return self.choose(self.within(max_norm), max_norm=max_norm)

    def within(self, max_norm: float) -> np.ndarray:
        """Return (rows,) bool: whether each row's norm is at most so many times the median.

        Raises:
            ValueError: ``max_norm`` is below 1.
        """
        if not max_norm >= 1:
            raise ValueError(f"max_norm must be at least 1, got {max_norm}")
        return self.norms <= max_norm * self.norm_spread["median"]

    def choose(self, keep: np.ndarray, **facts: float) -> "ActivationStore":
        """Return the store with only the rows for which ``keep``, (rows,) bool, is true.

        Its ``meta`` gets ``facts``, and ``dropped``: how many rows were left out.
        """
        left = {"dropped": int((~keep).sum()), "norms": spread(self.norms[keep])}
        shards = choose_rows(self._shards, keep)
        meta = {**self.meta, **facts, **left}
        return ActivationStore(self.path, meta, shards, self.d_in, self.dtype)

    def first(self, rows: int) -> "ActivationStore":
        """Return the store with its first ``rows`` rows only, or itself if it has no more."""
        if rows >= self.rows:
            return self
        whole = int(np.searchsorted(self._starts, rows, side="right")) - 1
        shards = self._shards[:whole]
        rest = rows - int(self._starts[whole])
        if rest:
            shards = [*shards, ChosenShard(self._shards[whole], np.arange(rest))]
        meta = {name: fact for name, fact in self.meta.items() if name != "norms"}
        return ActivationStore(self.path, {**meta, "first": rows}, shards, self.d_in, self.dtype)

    def context_of(self, row: int) -> Context:
        """Return the token of a row, within the sequence that the model was given.

        Raises:
            IndexError: there is no such row.
            ValueError: the store has no tokens: it is of format 1, or not of a language model.
        """
        if not 0 <= row < self.rows:
            raise IndexError(f"{self.path}: there is no row {row}, only {self.rows:,} rows")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._shards[number].context_of(int(row - self._starts[number]))

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return how many batches `batches` yields for one pass over the activations.

        Raises:
            ValueError: a batch is larger than the store, or not positive.
        """
        if not 0 < batch_size <= self.rows:
            raise ValueError(
                f"batch_size must be between 1 and the {self.rows:,} activations of {self.path}, "
                f"got {batch_size:,}"
            )
        return self.rows // batch_size

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[Tensor]:
        """Return an iterator over ``epochs`` passes of shuffled batches.

        Args:
            batch_size: B, activations in a batch; the rest of an epoch that fills none is left out.
            shuffle_seed: the order depends on it and on the epoch's number only (`shuffled_rows`).
            start_step: begin at this batch, counted from the first epoch's start; what comes
                before is not read, and what follows is the same as without.
            epochs: passes over the activations, each in an order of its own.

        Returns:
            (B, D) float32 tensors.

        Raises:
            ValueError: ``batch_size`` does not fit; while iterating: a shard is damaged, or an
                activation is NaN or infinite.
        """
        rows = self.row_batches(
            batch_size, shuffle_seed=shuffle_seed, start_step=start_step, epochs=epochs
        )
        return map(self.gather, rows)

    def row_batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[np.ndarray]:
        """Return an iterator over the row numbers, (B,) int64, of what `batches` returns."""
        steps = self.steps_per_epoch(batch_size)
        return self._row_batches(batch_size, shuffle_seed, start_step, steps, epochs)

    def _row_batches(
        self, batch_size: int, seed: int, start_step: int, steps: int, epochs: int
    ) -> Iterator[np.ndarray]:
        first_epoch, skip = divmod(start_step, steps)
        for epoch in range(first_epoch, epochs):
            waiting = np.empty(0, dtype=np.int64)
            for rows in shuffled_rows(self._starts, seed, epoch):
                waiting = np.concatenate([waiting, rows])
                while len(waiting) >= batch_size:
                    batch, waiting = waiting[:batch_size], waiting[batch_size:]
                    if skip == 0:
                        yield batch
                    skip = max(skip - 1, 0)

    def in_order(self, batch_size: int, stop: int | None = None) -> Iterator[Tensor]:
        """Yield the rows in their order, (batch_size, D) float32 and at last what is left.

        Args:
            batch_size: rows in a batch, at least 1.
            stop: one more than the last row; None: all.

        Raises:
            ValueError: a shard is damaged, or an activation is NaN or infinite.
        """
        for rows in slices(self.rows if stop is None else stop, batch_size):
            yield self.gather(np.arange(rows.start, rows.stop))

    def gather(self, rows: np.ndarray) -> Tensor:
        """Return the activations of ``rows`` (B,) int64, in their order: (B, D) float32.

        Raises:
            ValueError: a shard is damaged, or an activation is NaN or infinite.
        """
        order = np.argsort(rows)  # each shard is walked forwards, which is kind to a disk
        ascending = rows[order]
        gathered = torch.empty(len(rows), self.d_in)
        ends = np.searchsorted(ascending, self._starts)
        for shard, start, begin, end in zip(
            self._shards, self._starts, ends, ends[1:], strict=False
        ):
            if begin < end:
                part = shard.take(ascending[begin:end] - start).float()
                gathered.index_copy_(0, torch.from_numpy(order[begin:end]), part)
        self._refuse_non_finite(gathered, rows)
        return gathered

    def _refuse_non_finite(self, batch: Tensor, rows: np.ndarray) -> None:
        if torch.isfinite(batch.sum()):
            return
        wrong = (~torch.isfinite(batch).all(dim=1)).nonzero().flatten()
        if len(wrong):
            raise ValueError(f"{self.path}: activation {rows[wrong[0]]} is not finite")


def open_activations(path: StrPath) -> ActivationStore:
    """Open a store folder, or activations that others wrote.

    Others' may be: a ``.npy``, ``.npz``, ``.pt`` or ``.safetensors`` file with one array of
    floats (and any of integers, such as token ids); a folder of such files, all of one width; a
    folder that ``datasets`` wrote with ``save_to_disk`` and that has one column of vectors, such
    as SAELens' caches. An array is (rows, d_in), or (N, T, d_in), which is read as N * T rows, of
    dtype float16, bfloat16, float32 or float64. Files are memory-mapped.

    Args:
        path: a folder written by `harvest` or `StoreWriter`; or a file or folder as above.

    Raises:
        FileNotFoundError: there is no such store or file, or one of the store's shards is gone.
        ValueError: the store is incomplete or not of this format; what others wrote cannot be read
            as activations.
    """
    path = Path(path)
    meta = read_meta(path) if path.is_dir() else None
    if meta is not None:
        _check_complete(path, meta)
        return stored(path, meta)
    if not path.exists():
        raise FileNotFoundError(f"activations {path}: there is no such folder or file")
    shards, facts = open_folder(path) if path.is_dir() else open_file(path)
    first = shards[0].tensor
    return ActivationStore(path, facts, shards, first.shape[1], first.dtype)


def stored(folder: Path, meta: dict[str, Any]) -> ActivationStore:
    """Return what ``meta`` lists of a folder, complete or not."""
    shards = [StoredShard(folder, entry) for entry in meta["shards"]]
    return ActivationStore(folder, meta, shards, meta["d_in"], getattr(torch, meta["dtype"]))


def _check_complete(folder: Path, meta: dict[str, Any]) -> None:
    if not meta["complete"]:
        rows = sum(shard["rows"] for shard in look(folder).shards.values())
        raise ValueError(
            f"activations {folder} are incomplete ({rows:,} written so far); "
            f"harvest again into the same folder to continue"
        )
    for entry in meta["shards"]:
        if not (folder / entry["file"]).exists():
            raise FileNotFoundError(
                f"{folder / entry['file']} is gone; "
                f"harvest again into the same folder: only it is made anew"
            )
