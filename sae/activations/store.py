"""Activations on disk: shards that are memory-mapped, checked once, and read in shuffled batches.

A store is a folder with ``meta.json`` and ``shard_00000.safetensors``, ``shard_00001.safetensors``
..., each holding one tensor ``activations`` (rows, D). ``meta.json`` lists the finished shards with
their SHA-256; a shard is listed after it is complete on disk, so a killed writer loses at most the
shard it was working on.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.files import StrPath, sha256
from ..formats.tensors import map_tensors
from .shuffle import shuffled_rows

FORMAT = "twinsae-activations/1"
META = "meta.json"
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Shard:
    """One file of activations, memory-mapped and checked when it is first used."""

    def __init__(self, path: Path, rows: int, checksum: str | None = None) -> None:
        self.path = path
        self.rows = rows
        self._checksum = checksum

    @cached_property
    def tensor(self) -> Tensor:
        """(rows, D) in the stored dtype, memory-mapped.

        Raises:
            ValueError: the file is not the one that was written.
        """
        if self._checksum is not None and sha256(self.path) != self._checksum:
            raise ValueError(
                f"{self.path} is damaged (its SHA-256 is not the one in {META}); "
                f"delete this file and harvest again into the same folder: only it is made anew"
            )
        return map_activations(self.path)

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of the file."""
        return self._checksum or sha256(self.path)


class ActivationStore:
    """Activations on disk, (rows, D), to read in shuffled batches; see `open_activations`.

    Attributes:
        path: the store's folder, or the one file.
        meta: what ``meta.json`` says (of one file: its path).
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
        steps = self.steps_per_epoch(batch_size)
        return self._batches(batch_size, shuffle_seed, start_step, steps, epochs)

    def _batches(
        self, batch_size: int, seed: int, start_step: int, steps: int, epochs: int
    ) -> Iterator[Tensor]:
        row_bytes = self.d_in * self.dtype.itemsize
        first_epoch, skip = divmod(start_step, steps)
        for epoch in range(first_epoch, epochs):
            waiting = np.empty(0, dtype=np.int64)
            for rows in shuffled_rows(self._starts, row_bytes, seed, epoch):
                waiting = np.concatenate([waiting, rows])
                while len(waiting) >= batch_size:
                    batch, waiting = waiting[:batch_size], waiting[batch_size:]
                    if skip == 0:
                        yield self._gather(batch)
                    skip = max(skip - 1, 0)

    def _gather(self, rows: np.ndarray) -> Tensor:
        """Return the activations of ``rows``, in their order, (len(rows), D) float32."""
        order = np.argsort(rows)  # each shard is walked forwards, which is kind to a disk
        ascending = rows[order]
        gathered = torch.empty(len(rows), self.d_in)
        ends = np.searchsorted(ascending, self._starts)
        for shard, start, begin, end in zip(
            self._shards, self._starts, ends, ends[1:], strict=False
        ):
            if begin < end:
                within = torch.from_numpy(ascending[begin:end] - start)
                part = shard.tensor.index_select(0, within).float()
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
    """Open a store folder, or one file of your own with a (rows, D) array of floats.

    Args:
        path: a folder written by `harvest` or `StoreWriter`; or a ``.safetensors`` file with one
            tensor, or a ``.npy`` file, of dtype float16, bfloat16, float32 or float64.

    Raises:
        FileNotFoundError: there is no such store or file, or one of the store's shards is gone.
        ValueError: the store is incomplete or not of this format; the file is no 2-D float array.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"activations {path}: there is no such folder or file")
    tensor = map_activations(path)
    shard = Shard(path, len(tensor))
    return ActivationStore(path, {"file": str(path)}, [shard], tensor.shape[1], tensor.dtype)


def _open_folder(folder: Path) -> ActivationStore:
    meta = read_meta(folder)
    if meta is None:
        raise FileNotFoundError(f"activations {folder}: no {META} in this folder")
    if not meta["complete"]:
        raise ValueError(
            f"activations {folder} are incomplete ({meta['rows']:,} written so far); "
            f"harvest again into the same folder to continue"
        )
    shards = [Shard(folder / s["file"], s["rows"], s["sha256"]) for s in meta["shards"]]
    for shard in shards:
        if not shard.path.exists():
            raise FileNotFoundError(
                f"{shard.path} is gone; harvest again into the same folder: only it is made anew"
            )
    return ActivationStore(folder, meta, shards, meta["d_in"], getattr(torch, meta["dtype"]))


def map_activations(path: Path) -> Tensor:
    """Return the one (rows, D) float tensor of a ``.safetensors`` or ``.npy`` file, memory-mapped.

    Raises:
        ValueError: the file is corrupt or does not hold just that.
    """
    tensors = _map_npy(path) if path.suffix == ".npy" else map_tensors(path)
    if len(tensors) != 1:
        raise ValueError(f"{path}: expected one tensor of activations, found {sorted(tensors)}")
    (tensor,) = tensors.values()
    if tensor.ndim != 2 or not tensor.numel() or tensor.dtype not in _DTYPES:
        raise ValueError(
            f"{path}: expected a (rows, d_in) array of floats, "
            f"found shape {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
        )
    return tensor


def _map_npy(path: Path) -> dict[str, Tensor]:
    try:
        # Copy-on-write, because torch warns about arrays that cannot be written.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
        return {"array": torch.from_numpy(array)}
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as an array of floats: {error}") from error


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return the content of a store's ``meta.json``, or None where there is none.

    Raises:
        ValueError: it is not one of this format.
    """
    path = folder / META
    if not path.exists():
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is corrupt: not JSON ({error})") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"{path} is not the description of a store of format {FORMAT!r}")
    return meta
