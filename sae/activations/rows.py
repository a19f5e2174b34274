"""Rows of files and data sets: what stands in the column of the text, and where that is."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

from ...common.errors import first_line
from .sources import DATASET, PARQUET

SUFFIXES = (".txt", ".md", ".rst", ".jsonl", ".json", ".csv", PARQUET)
"""Files that are read from a folder; all but the last may be compressed, as in ``.jsonl.gz``."""

TEXT = "text"
TOKEN_IDS = "input_ids"
MASK = "attention_mask"

Row = tuple[Any, str]
"""What stands in the column, and the place's name for messages."""


def is_text_file(path: Path) -> bool:
    """Return whether a file of a folder is one with text."""
    return _suffix(path) in SUFFIXES and path.is_file()


def file_rows(path: Path, column: str) -> Iterator[Row]:
    """Yield the rows of a file by its ending; any ending but `SUFFIXES` is one plain text.

    Raises:
        ValueError: it is not what its ending says, not UTF-8, or a row has no such column.
    """
    if path.suffix == PARQUET:
        yield from _parquet_rows(path, column)
        return
    rows = {".jsonl": _json_lines, ".json": _json_list, ".csv": _csv_rows}.get(_suffix(path))
    try:
        with _open(path) as file:
            if rows is None:
                yield file.read(), str(path)
            else:
                yield from rows(file, column, path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} of it is wrong") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file: {error}") from error
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error


def saved_rows(source: str, path: Path, column: str, split: str) -> Iterator[Row]:
    """Yield the rows of a folder that ``datasets`` wrote with ``save_to_disk``.

    Raises:
        ValueError: there is no such split or column.
    """
    import datasets

    saved = datasets.load_from_disk(str(path))
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise ValueError(f"text {source!r} has no split {split!r}, only {list(saved)}")
        saved = saved[split]
    # Plain numbers and text, whatever format was saved with them.
    return _dataset_rows(source, saved.with_format(None), column)


def streamed_rows(source: str, column: str, split: str) -> Iterator[Row]:
    """Yield the rows of ``"hf:NAME"`` or ``"hf:NAME:CONFIG"``, streamed.

    Raises:
        ValueError: ``datasets`` cannot open it, or there is no such column.
    """
    import datasets

    name, _, config = source.removeprefix(DATASET).partition(":")
    try:
        stream = datasets.load_dataset(name, config or None, split=split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        if Path(name).is_file():
            reason = f"it is a file here, whose path goes without {DATASET!r}"
        raise ValueError(f"text {source!r} cannot be opened: {reason}") from error
    return _dataset_rows(source, stream, column)


def _dataset_rows(source: str, rows: Iterable[Mapping[str, Any]], column: str) -> Iterator[Row]:
    for number, row in enumerate(rows):
        where = f"text {source!r}, row {number}"
        yield _value(row, column, where), where


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _open(path: Path) -> TextIO:
    # newline="": the csv module takes care of line ends within quotes. Excel begins a file with a
    # byte order mark, which utf-8-sig passes over.
    newline = "" if _suffix(path) == ".csv" else None
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=newline))
    return path.open(encoding="utf-8-sig", newline=newline)


def _json_lines(file: TextIO, column: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        where = f"{path}, line {number}"
        if line.strip():
            yield _record_value(_parse(line, where), column, where), where
        else:
            yield "", where


def _json_list(file: TextIO, column: str, path: Path) -> Iterator[Row]:
    records = _parse(file.read(), str(path))
    if not isinstance(records, list):
        raise ValueError(
            f"{path}: expected a JSON list of objects or strings, it is {type(records).__name__}"
        )
    for number, record in enumerate(records):
        where = f"{path}, entry {number}"
        if record is None or isinstance(record, str):
            yield record, where
        else:
            yield _record_value(record, column, where), where


def _csv_rows(file: TextIO, column: str, path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # a document may be longer than csv's 131,072 letters
    table = csv.DictReader(file)
    for record in table:
        where = f"{path}, line {table.line_num}"
        yield _value(record, column, where), where


def _parquet_rows(path: Path, column: str) -> Iterator[Row]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read: {reason}") from error
    names = file.schema_arrow.names
    wanted = [name for name in (column, TOKEN_IDS, MASK) if name in names]
    number = 0
    for batch in file.iter_batches(columns=wanted if column in names else None, batch_size=256):
        for record in batch.to_pylist():
            where = f"{path}, row {number}"
            yield _value(record, column, where), where
            number += 1


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error


def _record_value(record: Any, column: str, where: str) -> Any:
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected a JSON object with the key {column!r}")
    return _value(record, column, where)


def _value(record: Mapping[str, Any], column: str, where: str) -> Any:
    """Return what stands in the column; where there is no text, token ids without padding."""
    if column not in record and column == TEXT and TOKEN_IDS in record:
        column = TOKEN_IDS
    if column not in record:
        raise ValueError(f"{where}: expected text in column {column!r}, there is {list(record)}")
    value, mask = record[column], record.get(MASK)
    if isinstance(value, list) and isinstance(mask, list) and len(mask) == len(value):
        return [token for token, kept in zip(value, mask, strict=True) if kept]
    return value
