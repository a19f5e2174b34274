"""One hookpoint's store while it is filled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .begun import describe_end
from .shards import PADDING, Tokens
from .tokens import stored_positions
from .writer import StoreWriter


class Filling:
    """The store of one hookpoint, of which a process makes its own shards.

    Args:
        name: the hookpoint.
        folder: the store's.
        settings: for ``meta.json``, which names some of them outside, too.
        bos: the token that is not stored where a sequence begins with it.
        skip_first: whether the first token after that is left out, too, unless a process that
            began the store before decided it.
        own: the numbers of the shards to make.

    Attributes:
        name: as given.
        dtype: that of the model in which the store was begun.
        rows: those of the shards passed so far.
        made: those of its own shards, on disk and in memory.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: dict[str, Any],
        bos: int | None,
        skip_first: bool,
        own: Sequence[int],
    ) -> None:
        facts = {fact: settings[fact] for fact in ("model", "hookpoint", "text", "context")}
        facts |= {"bos": bos, "skip_first": skip_first, "settings": settings}
        self.name = name
        self._writer = StoreWriter(folder, facts)
        self.dtype: str = self._writer.facts["settings"]["dtype"]
        self._bos, self._skip_first = bos, bool(self._writer.facts["skip_first"])
        self._own = own
        self._parts: list[Tensor] = []
        self._places: list[Tensor] = []
        self._passed = 0
        self._skipped: Mapping[str, int] = {}
        self.rows = 0
        known = self._writer.shards.items()
        self.made = sum(shard["rows"] for number, shard in known if number in own)

    def lacks(self, number: int, digest: str, text: str) -> bool:
        """Return whether this shard is to be made here.

        Raises:
            ValueError: it is there, but was made of other tokens.
        """
        if not self._writer.has(number):
            return number in self._own
        if self._writer.shards[number]["ids_sha256"] != digest:
            raise ValueError(
                f"text {text!r} or the tokenizer is not the one that {self._writer.folder} was "
                f"begun with (shard {number} had other tokens); use another folder or delete it"
            )
        return False

    def wants(self, tokens: int) -> bool:
        """Return whether it has fewer rows than ``tokens`` in all."""
        return self.rows + sum(map(len, self._parts)) < tokens

    def take(self, output: Tensor, input_ids: Tensor, tokens: int) -> None:
        """Keep a batch's activations for the shard, up to ``tokens`` rows in all.

        Args:
            output: (B, T, D).
            input_ids: (B, T), as from `token_batches`.
            tokens: rows that the store is to have.
        """
        room = tokens - self.rows - sum(map(len, self._parts))
        places = self._stored(input_ids).nonzero()[:room]
        self._parts.append(output[places[:, 0], places[:, 1]])
        self._places.append(places)
        self.made += len(places)

    def write(self, number: int, group: list[Tensor], digest: str) -> None:
        """Write what was kept as a shard; ``group`` holds all its batches of token ids."""
        tokens = joined(group, self._places)
        self._writer.add(number, torch.cat(self._parts), tokens, ids_sha256=digest)
        self._parts, self._places = [], []

    def passed(self, group: list[Tensor], tokens: int, skipped: Mapping[str, int]) -> None:
        """Count the rows of a shard, whoever makes it, of ``tokens`` in all.

        How many rows a shard has depends on its token ids alone.
        """
        found = sum(int(self._stored(input_ids).sum()) for input_ids in group)
        self.rows = min(tokens, self.rows + found)
        self._passed += 1
        self._skipped = dict(skipped)

    def end(self, tokens: int, skipped: Mapping[str, int]) -> None:
        """Note that the text, or so much of it as is wanted, was read to its end.

        Args:
            tokens: rows that were wanted.
            skipped: rows of the whole text that were passed over.

        Raises:
            ValueError: there is nothing to store.
        """
        if not self.rows:
            raise ValueError(f"{self.name}: the text has no token that would be stored")
        ended = self.rows < tokens
        facts = {"text_ended": ended, "skipped_rows": dict(skipped) if ended else self._skipped}
        describe_end(self._writer.folder, self._passed, facts)

    def _stored(self, input_ids: Tensor) -> Tensor:
        return stored_positions(input_ids, self._bos, self._skip_first)


def joined(group: Sequence[Tensor], places: Sequence[Tensor]) -> Tokens:
    """Return a shard's tokens.

    Args:
        group: its batches of token ids, (B, T) int64.
        places: for each of the first batches, the sequence and the position of what is stored,
            (rows, 2) int64.
    """
    longest = max(ids.shape[1] for ids in group)
    sequences = [
        torch.nn.functional.pad(ids, (0, longest - ids.shape[1]), value=PADDING) for ids in group
    ]
    starts = torch.tensor([0, *(len(ids) for ids in group)]).cumsum(0).tolist()
    pairs = list(zip(places, starts, strict=False))
    sequence = torch.cat([place[:, 0] + start for place, start in pairs])
    position = torch.cat([place[:, 1] for place in places])
    return Tokens(torch.cat(sequences).int(), sequence.int(), position.int())
