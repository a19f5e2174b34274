"""Writing a store of activations."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ...common.files import atomic_write, sha256
from ..formats.tensors import save_tensors
from .begun import delete_descriptions, describe_shard, look, shard_entry, shard_file
from .meta import FORMAT, META
from .shards import Tokens
from .store import ActivationStore, open_activations, stored


class StoreWriter:
    """Writes a store shard by shard; whatever interrupts it, the finished shards stay.

    Several processes, on machines that share the folder, may write shards of one store. The facts
    are those of the first.

    Args:
        folder: the store's folder; it is made if need be, and takes up a store begun there.
        facts: entries of ``meta.json`` for readers, such as the hookpoint.

    Attributes:
        folder: as given.
        facts: what ``meta.json`` says, which another process may have begun.
        shards: the finished shards that are on disk, by number: their entries in ``meta.json``,
            with ``file``, ``rows`` and ``sha256``.

    Raises:
        ValueError: the store that was begun there is of the format before this one.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        if not (folder / META).exists():
            begun = {"format": FORMAT, **facts, "rows": 0, "complete": False, "shards": []}
            self._write_meta(begun, first_wins=True)
        found = look(folder)
        self.facts: dict[str, Any] = found.meta or {}
        if self.facts["format"] != FORMAT:
            raise ValueError(
                f"{folder} was begun by an older version of twinsae, without tokens; "
                f"use another folder or delete it"
            )
        self.shards = found.shards

    def has(self, number: int) -> bool:
        """Return whether a shard is there, be it that another process has finished it by now."""
        if number not in self.shards:
            entry = shard_entry(self.folder, number)
            if entry is not None:
                self.shards[number] = entry
        return number in self.shards

    def add(
        self, number: int, activations: Tensor, tokens: Tokens | None = None, **facts: Any
    ) -> None:
        """Write a shard, in the place of the one with this number.

        Args:
            number: from 0; in the end there must be no gap.
            activations: (rows, D) float; the dtype is kept.
            tokens: the sequences that they are of, if they are a language model's.
            facts: more to note about this shard.

        Raises:
            OSError: it cannot be written; the store is as it was before.
        """
        file = shard_file(self.folder, number)
        save_tensors(file, {"activations": activations, **(tokens._asdict() if tokens else {})})
        rows, d_in = activations.shape
        entry = {"file": file.name, "rows": rows, "sha256": sha256(file), **facts}
        layout = {"d_in": d_in, "dtype": str(activations.dtype).removeprefix("torch.")}
        describe_shard(self.folder, number, entry, layout)
        self.shards[number] = entry

    def finish(self, **facts: Any) -> ActivationStore:
        """Declare the store complete and return it opened.

        ``meta.json`` gets the shards, the spread of the activations' norms, and more ``facts``.

        Raises:
            ValueError: a shard is missing or damaged, or not of the others' width and dtype; an
                activation is NaN or infinite.
        """
        found = look(self.folder)
        self.shards = found.shards
        number = max([found.number or 0, *(number + 1 for number in self.shards)])
        gap = next((n for n in range(number) if n not in self.shards), None)
        if gap is not None:
            raise ValueError(f"{shard_file(self.folder, gap)} is missing")
        rows = sum(shard["rows"] for shard in self.shards.values())
        meta = {**(found.meta or {}), "rows": rows, "shards": [*self.shards.values()]}
        for layout in found.layouts:
            if layout != {name: meta.setdefault(name, value) for name, value in layout.items()}:
                raise ValueError(f"{self.folder}: the shards are of different widths or dtypes")
        norms = stored(self.folder, meta).norm_spread
        self._write_meta({**meta, "complete": True, "norms": norms, **facts})
        delete_descriptions(self.folder)
        return open_activations(self.folder)

    def _write_meta(self, meta: dict[str, Any], *, first_wins: bool = False) -> None:
        with atomic_write(self.folder / META, first_wins=first_wins) as temporary:
            temporary.write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
