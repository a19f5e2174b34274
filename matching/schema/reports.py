"""What is wrong with the data of a report."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..report.latents.chunks import Chunk, read_chunk
from .schemas import schema_faults

FORMAT = "twinsae-report/1"
MANIFEST = "manifest"
_CONTEXT_ARRAYS = ("count", "histogram", "histogram_end")
_OF_A = ("partner", "cosine", "best", "best_cosine", "lead", "price")
_OF_B = ("back_best", "back_best_cosine", "back_lead")


def report_faults(data: Path, matchings: Collection[str] | None) -> Iterator[str]:
    """Yield in one line each what is wrong with the chunks of a report.

    The manifest is checked against its schema; then that each chunk is there, undamaged and of the
    sizes that the manifest says, that partners are one to one, and that there are no others.

    Args:
        data: the folder with ``manifest.js``.
        matchings: the SHA-256 of the files of matchings beside it, of which the report must be;
            None where there are none.

    Raises:
        ImportError: the package jsonschema is not installed.
    """
    reader = _Reader(data)
    manifest = reader.read(MANIFEST)
    if manifest is not None:
        facts = manifest.facts
        faults = list(schema_faults(facts, FORMAT)) or list(_pair_faults(facts, matchings))
        yield from (f"{data / MANIFEST}.js: {fault}" for fault in faults)
        if not faults:
            _check_chunks(reader, facts)
            yield from reader.others()
    yield from reader.faults


class _Reader:
    """Reads chunks, and remembers what was wrong with them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._read: set[Path] = set()
        self.faults: list[str] = []

    def read(self, name: str) -> Chunk | None:
        """Return a chunk, or None if it is missing or damaged."""
        self._read.add(self._data / f"{name}.js")
        try:
            return read_chunk(self._data, name)
        except FileNotFoundError:
            self.faults.append(f"{self._data / name}.js does not exist")
        except ValueError as error:
            self.faults.append(" ".join(str(error).split()))
        return None

    def checked(self, name: str, sizes: dict[str, int]) -> Iterator[Chunk]:
        """Yield a chunk if it is there and has arrays of so many rows; else note a fault."""
        chunk = self.read(name)
        if chunk is None:
            return
        for key, size in sizes.items():
            rows = len(chunk.arrays[key]) if key in chunk.arrays else None
            if rows != size:
                got = "there is none" if rows is None else f"it has {rows:,}"
                self.faults.append(f"{self._data / name}.js: {key}: expected {size:,} rows, {got}")
                return
        yield chunk

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong with a chunk."""
        self.faults.append(f"{self._data / name}.js: {text}")

    def others(self) -> Iterator[str]:
        """Yield the files that were not read."""
        for file in sorted(set(self._data.rglob("*.js")) - self._read):
            yield f"{file} is of no chunk that the manifest names"


def _pair_faults(manifest: dict[str, Any], matchings: Collection[str] | None) -> Iterator[str]:
    saes = len(manifest["saes"])
    for number, pair in enumerate(manifest["pairs"]):
        if not pair["a"] < pair["b"] < saes:
            yield f"pairs[{number}]: expected two of {saes} SAEs, got {pair['a']} and {pair['b']}"
        if matchings is not None and not set(pair["matchings"].values()) <= set(matchings):
            yield f"pairs[{number}]: it is of another matching: run `twinsae report` again"


def _check_chunks(reader: _Reader, manifest: dict[str, Any]) -> None:
    """Check all chunks; the faults are left with the reader."""
    saes = manifest["saes"]
    for pair in manifest["pairs"]:
        sizes = (saes[pair[letter]]["num_latents"] for letter in "ab")
        _check_pair(reader, pair, *sizes)
    for number, sae in enumerate(saes):
        _check_sae(reader, number, sae)
    if manifest["corpus"] is not None:
        _check_corpus(reader, manifest["corpus"])
    if manifest["vocabulary"]:
        _check_texts(reader, "vocabulary", None)


def _check_sae(reader: _Reader, number: int, sae: dict[str, Any]) -> None:
    names = [column["name"] for column in sae["columns"]]
    for _ in reader.checked(f"sae{number}/columns", dict.fromkeys(names, sae["num_latents"])):
        pass
    if sae["explanations"]:
        _check_texts(reader, f"sae{number}/text", sae["num_latents"])
    if sae["contexts"] is None:
        return
    per_chunk = sae["contexts"]["per_chunk"]
    for block in range(sae["contexts"]["chunks"]):
        latents = min(per_chunk, sae["num_latents"] - block * per_chunk)
        name = f"sae{number}/contexts-{block}"
        sizes = {**dict.fromkeys(_CONTEXT_ARRAYS, latents), "context_offsets": latents + 1}
        for chunk in reader.checked(name, sizes):
            contexts = _check_offsets(reader, name, "context_offsets", chunk, "position")
            if contexts is not None and len(chunk.arrays.get("fire_offsets", ())) == contexts + 1:
                _check_offsets(reader, name, "fire_offsets", chunk, "fire_place")
            elif contexts is not None:
                reader.fault(name, f"fire_offsets: expected {contexts + 1:,} rows")


def _check_offsets(reader: _Reader, name: str, offsets: str, chunk: Chunk, rows: str) -> int | None:
    """Return the last offset if the offsets rise from 0 to the number of rows, else note it."""
    bounds = chunk.arrays[offsets].astype(np.int64)
    total = len(chunk.arrays.get(rows, ()))
    if len(bounds) == 0 or bounds[0] != 0 or bounds[-1] != total or (np.diff(bounds) < 0).any():
        reader.fault(name, f"{offsets}: expected numbers that rise from 0 to {total:,}, of {rows}")
        return None
    return total


def _check_texts(reader: _Reader, name: str, count: int | None) -> None:
    sizes = {} if count is None else {"offsets": count + 1}
    for chunk in reader.checked(name, {**sizes}):
        if "offsets" in chunk.arrays:
            _check_offsets(reader, name, "offsets", chunk, "bytes")
        else:
            reader.fault(name, "there is no offsets")


def _check_corpus(reader: _Reader, corpus: dict[str, Any]) -> None:
    for block in range(corpus["chunks"]):
        tokens = min(corpus["per_chunk"], corpus["tokens"] - block * corpus["per_chunk"])
        for _ in reader.checked(f"corpus-{block}", {"tokens": tokens}):
            pass


def _check_pair(reader: _Reader, pair: dict[str, Any], num_a: int, num_b: int) -> None:
    name = f"pair-{pair['a']}-{pair['b']}"
    sizes = {
        f"{side}.{array}": size
        for side in pair["sides"]
        for arrays, size in ((_OF_A, num_a), (_OF_B, num_b))
        for array in arrays
    }
    for chunk in reader.checked(name, sizes):
        for side in pair["sides"]:
            partner = chunk.arrays[f"{side}.partner"]
            matched = partner[partner >= 0]
            if len(matched) != min(num_a, num_b) or len(np.unique(matched)) != len(matched):
                reader.fault(name, f"{side}.partner is not one to one and complete")
            elif matched.max() >= num_b:
                reader.fault(name, f"{side}.partner names a latent outside 0 to {num_b - 1:,}")
            cosine = chunk.arrays[f"{side}.cosine"]
            if not np.array_equal(np.isfinite(cosine), partner >= 0):
                reader.fault(name, f"{side}.cosine: expected a number for each partner, else NaN")
