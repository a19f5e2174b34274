"""Tidy tables: NAME.npz holds columns of one length, NAME.json says where they come from."""

import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import atomic_write, sha256


class Table(NamedTuple):
    """A table as it is stored."""

    columns: dict[str, NDArray[Any]]
    """Arrays (rows,), by name."""
    facts: dict[str, Any]
    """What the JSON file says: format, table, sha256, rows, columns, and what the writer added."""


def save_table(
    file: Path, format_name: str, columns: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write ``file`` and, beside it, its description of the same name with the ending .json.

    The description comes last and holds the table's SHA-256, so that it never stands beside a table
    that it does not describe.

    Args:
        file: a path that ends in .npz; its folder is made if missing.
        format_name: names the columns' meaning and its version, such as "twinsae-firing/1".
        columns: (rows,) arrays of numbers or truth values, all of one length, by name.
        facts: JSON values: what the table was made from.

    Raises:
        ValueError: the columns differ in length, or a fact is no JSON value.
        OSError: a file could not be written.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns: expected one length, got {lengths}")
    save_arrays(file, format_name, columns, {"rows": next(iter(lengths.values())), **facts})


def save_arrays(
    file: Path, format_name: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write arrays of any shapes as `save_table` writes columns; `load_table` reads them, too.

    Args:
        file: as for `save_table`.
        format_name: names the arrays' meaning and its version.
        arrays: arrays of numbers or truth values, by name.
        facts: JSON values: what they were made from.

    Raises:
        ValueError: a fact is no JSON value.
        OSError: a file could not be written.
    """
    content: dict[str, Any] = dict(arrays)
    described = file.with_suffix(".json")
    file.parent.mkdir(parents=True, exist_ok=True)
    # A file object, because savez would append ".npz" to the temporary name.
    with atomic_write(file) as temporary:
        with temporary.open("wb") as opened:
            np.savez(opened, **content)
        description = {
            "format": format_name,
            "table": file.name,
            "sha256": sha256(temporary),
            "columns": list(arrays),
            **facts,
        }
        text = json.dumps(description, indent=1, allow_nan=False) + "\n"
        # One that describes another table goes first; another writer's of this table can stay.
        with suppress(FileNotFoundError):
            if described.read_bytes() != text.encode():
                described.unlink()
    with atomic_write(described) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load_table(file: Path, format_name: str) -> Table:
    """Read what `save_table` wrote.

    Raises:
        FileNotFoundError: the table or its description is not there.
        ValueError: one is corrupt, of another format, or the two do not belong together.
    """
    facts = table_facts(file, format_name)
    if sha256(file) != facts.get("sha256"):
        raise ValueError(f"{file} is not the table that {file.with_suffix('.json')} describes")
    try:
        with np.load(file, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in facts["columns"]}
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is no table of format {format_name!r}: {error}") from error
    return Table(columns, facts)


def table_facts(file: Path, format_name: str) -> dict[str, Any]:
    """Return what the JSON file beside a table says; the table itself is not read.

    Raises:
        FileNotFoundError: the table or its description is not there.
        ValueError: the description is corrupt or of another format.
    """
    described = file.with_suffix(".json")
    for path in (file, described):
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist")
    return read_json(described, format_name)


def read_json(file: Path, format_name: str) -> dict[str, Any]:
    """Return the content of a JSON file, which names its format.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is corrupt or of another format.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != format_name:
        raise ValueError(f"{file}: expected format {format_name!r}, got {found!r}")
    return dict(content)
