"""What the folder of a store holds while it is filled.

| file | what it is |
|---|---|
| ``meta.json`` | the facts that the store was begun with; at last the complete description |
| ``shard_00000.safetensors`` ... | the finished shards |
| ``shard_00000.json`` ... | for each finished shard, what ``meta.json`` is to say of it |
| ``end.json`` | how many shards there are in all, once somebody has read the text to its end |

``meta.json`` is written at the beginning and at the end only, so that several processes, on
machines that share the folder, can fill one store. Who finds all shards there puts them into
``meta.json`` and deletes their descriptions; where two do so at once, they write the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...common.files import atomic_write
from ...common.parts import part_of
from .meta import read_meta

_END = "end.json"
_ENTRIES = "shard_*.json"


class Begun(NamedTuple):
    """What is there of a store."""

    meta: dict[str, Any] | None
    """The content of ``meta.json``."""
    shards: dict[int, dict[str, Any]]
    """What ``meta.json`` says or is to say of each shard whose file is there, by number."""
    layouts: list[dict[str, Any]]
    """``d_in`` and ``dtype`` of the shards that have a description of their own."""
    end: dict[str, Any] | None
    """What the end of the text told: the number of ``shards``, and ``facts`` for ``meta.json``."""

    @property
    def number(self) -> int | None:
        """How many shards the store has in all; None where it is not known yet."""
        if self.end is not None:
            return int(self.end["shards"])
        return len(self.meta["shards"]) if self.meta and self.meta["complete"] else None

    @property
    def is_complete(self) -> bool:
        """Whether all shards are there and ``meta.json`` lists them."""
        listed = self.meta is not None and self.meta["complete"] and not self.layouts
        return bool(listed) and self.missing() == []

    def missing(self, part: tuple[int, int] = (1, 1)) -> list[int] | None:
        """Return which shards of part i of n are not there; None where it is not known yet."""
        if self.number is None:
            return None
        return [each for each in part_of(range(self.number), part) if each not in self.shards]


def shard_file(folder: Path, number: int) -> Path:
    """Return the file of a shard."""
    return folder / f"shard_{number:05}.safetensors"


def look(folder: Path) -> Begun:
    """Return what is there of a store.

    Raises:
        ValueError: ``meta.json`` is not that of a store.
    """
    # Descriptions are deleted once meta.json is complete. Read before it, none is overlooked.
    end = _read(folder / _END)
    entries = dict(_entries(folder))
    meta = read_meta(folder)
    shards = dict(enumerate(meta["shards"])) if meta else {}
    shards |= {number: entry["shard"] for number, entry in entries.items()}
    there = {n: shards[n] for n in sorted(shards) if (folder / shards[n]["file"]).exists()}
    return Begun(meta, there, [entry["layout"] for entry in entries.values()], end)


def describe_shard(
    folder: Path, number: int, shard: dict[str, Any], layout: dict[str, Any]
) -> None:
    """Note what ``meta.json`` is to say of a shard, which is on disk.

    Args:
        folder: the store's.
        number: the shard's.
        shard: its entry.
        layout: the ``d_in`` and ``dtype`` of its activations.
    """
    _write(_entry_file(folder, number), {"shard": shard, "layout": layout})


def describe_end(folder: Path, shards: int, facts: dict[str, Any]) -> None:
    """Note how many shards there are in all, and what ``meta.json`` is to say besides."""
    _write(folder / _END, {"shards": shards, "facts": facts})


def shard_entry(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what is noted of one shard, or None."""
    entry = _read(_entry_file(folder, number))
    return entry and entry["shard"]


def delete_descriptions(folder: Path) -> None:
    """Delete what ``meta.json`` says by now."""
    for file in (*folder.glob(_ENTRIES), folder / _END):
        file.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for file in sorted(folder.glob(_ENTRIES)):
        entry = _read(file)
        if entry is not None:
            yield int(file.stem.removeprefix("shard_")), entry


def _entry_file(folder: Path, number: int) -> Path:
    return shard_file(folder, number).with_suffix(".json")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
