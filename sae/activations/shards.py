"""Parts of a store: rows of activations in one file, read when they are first used."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...common.files import sha256
from ..formats.tensors import map_tensors

PADDING = -1
"""In place of a token id where a sequence is shorter than others."""


class Tokens(NamedTuple):
    """The sequences that a model was given, and which of their tokens are stored."""

    sequences: Tensor
    """(S, T) int32 token ids; `PADDING` after the end of a shorter sequence."""
    sequence: Tensor
    """(rows,) int32: the sequence of each stored row."""
    position: Tensor
    """(rows,) int32: the position of each stored row in its sequence."""


class Context(NamedTuple):
    """A stored row's token, within the sequence that the model was given."""

    token_ids: Tensor
    """(T,) int32, the whole sequence without padding."""
    position: int
    """The row's token is ``token_ids[position]``."""


class Shard:
    """Some rows of a store.

    Args:
        path: the file, for messages.
        rows: how many there are.
        read: gives the (rows, D) activations; it is called once.
        identity: gives the checksum; by default the file's SHA-256.
    """

    def __init__(
        self,
        path: Path,
        rows: int,
        read: Callable[[], Tensor],
        identity: Callable[[], str] | None = None,
    ) -> None:
        self.path = path
        self.rows = rows
        self._read = read
        self._identity = identity or (lambda: sha256(path))

    @cached_property
    def tensor(self) -> Tensor:
        """(rows, D) in the stored dtype, memory-mapped where the file allows it."""
        return self._read()

    @cached_property
    def checksum(self) -> str:
        """What tells these rows from others."""
        return self._identity()

    @property
    def tokens_digest(self) -> str | None:
        """What tells which tokens these rows are of; None where that is not known."""
        return None

    @property
    def tokens(self) -> Tokens | None:
        """The sequences that these rows are of; None where they were not stored."""
        return None

    def take(self, rows: np.ndarray) -> Tensor:
        """Return the activations of some rows, (len(rows), D), in their order."""
        return self.tensor.index_select(0, torch.from_numpy(rows))

    def context_of(self, row: int) -> Context:
        """Return a row's token in its sequence.

        Raises:
            ValueError: the tokens were not stored.
        """
        tokens = self.tokens
        if tokens is None:
            raise ValueError(f"{self.path} holds activations without their tokens")
        sequence = tokens.sequences[int(tokens.sequence[row])]
        return Context(sequence[sequence != PADDING], int(tokens.position[row]))


class StoredShard(Shard):
    """A file of `StoreWriter`, checked against its SHA-256 when it is first used.

    Args:
        folder: the store's.
        entry: the shard's in ``meta.json``.
    """

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        path, expected = folder / entry["file"], entry["sha256"]
        super().__init__(path, entry["rows"], lambda: self._tensors["activations"])
        self._identity = lambda: expected
        self._tokens_digest: str | None = entry.get("ids_sha256")

    @property
    def tokens_digest(self) -> str | None:
        """The SHA-256 of the token ids; see `Shard.tokens_digest`."""
        return self._tokens_digest

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        if sha256(self.path) != self.checksum:
            raise ValueError(
                f"{self.path} is damaged (its SHA-256 is not the one in meta.json); "
                f"delete this file and harvest again into the same folder: only it is made anew"
            )
        return map_tensors(self.path)

    @property
    def tokens(self) -> Tokens | None:
        """The sequences that these rows are of; see `Shard.tokens`."""
        if "sequences" not in self._tensors:
            return None
        return Tokens(*(self._tensors[name] for name in Tokens._fields))


class ChosenShard(Shard):
    """Some rows of another shard.

    Args:
        shard: the other.
        chosen: (rows,) int64, ascending.
    """

    def __init__(self, shard: Shard, chosen: np.ndarray) -> None:
        super().__init__(shard.path, len(chosen), lambda: shard.tensor[torch.from_numpy(chosen)])
        self._shard = shard
        self._chosen = chosen
        self._identity = lambda: hashlib.sha256(
            shard.checksum.encode() + chosen.tobytes()
        ).hexdigest()

    @property
    def tokens_digest(self) -> str | None:
        """The other's, with the choice of rows if some are left out; see `Shard.tokens_digest`."""
        all_tokens = self._shard.tokens_digest
        if self.rows == self._shard.rows:
            return all_tokens
        return hashlib.sha256(f"{all_tokens}".encode() + self._chosen.tobytes()).hexdigest()

    def take(self, rows: np.ndarray) -> Tensor:
        """Return the activations of some rows; only these are read."""
        return self._shard.take(self._chosen[rows])

    @property
    def tokens(self) -> Tokens | None:
        """The sequences that these rows are of; see `Shard.tokens`."""
        tokens = self._shard.tokens
        if tokens is None:
            return None
        chosen = torch.from_numpy(self._chosen)
        return tokens._replace(sequence=tokens.sequence[chosen], position=tokens.position[chosen])
