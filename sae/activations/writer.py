"""Writing a store of activations."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ...common.files import atomic_write, sha256
from ..formats.tensors import save_tensors
from .shards import Tokens
from .store import FORMAT, META, ActivationStore, open_activations, read_meta, stored


class StoreWriter:
    """Writes a store shard by shard; whatever interrupts it, the finished shards stay.

    Args:
        folder: the store's folder; it is made if need be, and takes up a store begun there.
        facts: entries of ``meta.json`` for readers, such as the hookpoint.

    Attributes:
        folder: as given.
        shards: the finished shards that are still on disk, by number: their entries in
            ``meta.json``, with ``file``, ``rows`` and ``sha256``.

    Raises:
        ValueError: the store that was begun there is of the format before this one.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._meta = {"format": FORMAT, **facts, "rows": 0, "complete": False, "shards": []}
        self._meta.update(read_meta(folder) or {})
        if self._meta["format"] != FORMAT:
            raise ValueError(
                f"{folder} was begun by an older version of twinsae, without tokens; "
                f"use another folder or delete it"
            )
        self.shards: dict[int, dict[str, Any]] = {
            number: shard
            for number, shard in enumerate(self._meta["shards"])
            if (folder / shard["file"]).exists()
        }

    def add(
        self, number: int, activations: Tensor, tokens: Tokens | None = None, **facts: Any
    ) -> None:
        """Write a shard, in the place of the one with this number or after the last.

        Args:
            number: from 0 to the number of shards so far.
            activations: (rows, D) float; the dtype is kept.
            tokens: the sequences that they are of, if they are a language model's.
            facts: more to note about this shard.

        Raises:
            OSError: it cannot be written; the store is as it was before.
        """
        name = f"shard_{number:05}.safetensors"
        tensors = {"activations": activations, **(tokens._asdict() if tokens else {})}
        save_tensors(self.folder / name, tensors)
        rows, d_in = activations.shape
        entry = {"file": name, "rows": rows, "sha256": sha256(self.folder / name), **facts}
        self._meta["shards"][number : number + 1] = [entry]
        self.shards[number] = entry
        self._write_meta(d_in=d_in, dtype=str(activations.dtype).removeprefix("torch."))

    def finish(self, **facts: Any) -> ActivationStore:
        """Declare the store complete and return it opened.

        ``meta.json`` gets the spread of the activations' norms, and more ``facts``.

        Raises:
            ValueError: a shard is damaged, or an activation is NaN or infinite.
        """
        spread = stored(self.folder, self._meta).norm_spread
        self._write_meta(complete=True, norms=spread, **facts)
        return open_activations(self.folder)

    def _write_meta(self, **facts: Any) -> None:
        self._meta.update(facts)
        self._meta["rows"] = sum(shard["rows"] for shard in self._meta["shards"])
        with atomic_write(self.folder / META) as temporary:
            temporary.write_text(json.dumps(self._meta, indent=1) + "\n", encoding="utf-8")
