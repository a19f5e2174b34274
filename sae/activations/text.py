"""Text to run a language model on: Python's own documentation, local files, or `datasets`."""

import ast
import json
import random
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from .sources import BUILTIN, DATASET, locate_text

SUFFIXES = (".txt", ".md", ".rst", ".jsonl")
"""Files that are read from a folder; ``.jsonl`` holds one JSON object a line."""

_NOT_DOCUMENTATION = {
    "__pycache__",
    "dist-packages",
    "idle_test",
    "site-packages",
    "test",
    "tests",
}


def documents(source: str, *, column: str = "text", split: str = "train") -> Iterator[str]:
    """Return the documents of a text source, always in the same order.

    Args:
        source: one of
            ``"builtin"``, CPython's own documentation (`builtin_documents`);
            a text file (one document; a ``.jsonl`` file: one document a line);
            a folder, whose `SUFFIXES` files are read recursively in the order of their paths, or
            which ``datasets`` wrote with ``save_to_disk``;
            ``"hf:NAME"`` or ``"hf:NAME:CONFIG"``, a data set that the ``datasets`` package opens,
            streamed.
        column: the text's column in a data set, or its key in a ``.jsonl`` file.
        split: the split of a data set.

    Returns:
        The documents with any text in them; files and data sets are read as the iterator advances.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: no text in it, not UTF-8, no such column, or ``datasets`` is not installed or
            cannot open it. Found in the first document, it is raised at once, not when iterating.
    """
    filled = (text for text in _open(source, column, split) if text.strip())
    first = next(filled, None)
    if first is None:
        raise ValueError(f"text {source!r} holds no text")
    return chain([first], filled)


def builtin_documents() -> list[str]:
    """Return CPython's own documentation, about 1.8 million characters, in a shuffled order.

    There is one document for each topic of ``help()`` and one for each module of the standard
    library: its docstrings, in the order of the source. They are read without importing
    anything, tests are left out, and a docstring that occurs twice is taken once. The order is
    shuffled with a fixed seed, so that any beginning of it is a fair sample. The text differs
    between Python versions.
    """
    from pydoc_data.topics import topics

    library = Path(sysconfig.get_paths()["stdlib"])
    found = dict.fromkeys(topics[name] for name in sorted(topics))
    seen: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        folders = path.relative_to(library).parts[:-1]
        if _NOT_DOCUMENTATION.isdisjoint(folders):
            new = dict.fromkeys(text for text in _docstrings(path) if text not in seen)
            seen.update(new)
            found["\n\n".join(new)] = None
    filled = [text for text in found if text]
    random.Random(0).shuffle(filled)
    return filled


def _docstrings(path: Path) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template or a deliberately broken example
        return []
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [text for node in nodes if (text := ast.get_docstring(node))]


def _open(source: str, column: str, split: str) -> Iterable[str]:
    path = locate_text(source)
    if source == BUILTIN:
        return builtin_documents()
    if path is None:
        return _dataset_documents(source, _stream(source, split), column)
    if path.is_file():
        return _file_documents(path, column)
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _dataset_documents(source, _saved_dataset(source, path, split), column)
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise ValueError(f"text folder {path} holds no {', '.join(SUFFIXES)} file")
    return chain.from_iterable(_file_documents(file, column) for file in files)


def _file_documents(path: Path, column: str) -> Iterator[str]:
    try:
        if path.suffix != ".jsonl":
            yield path.read_text(encoding="utf-8")
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _json_text(line, column, f"{path}, line {number}")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} of it is wrong") from error


def _json_text(line: str, column: str, where: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected a JSON object with the key {column!r}")
    return _text_of(record, column, where)


def _text_of(record: dict[str, Any], column: str, where: str) -> str:
    text = record.get(column)
    if not isinstance(text, str):
        found = f"it is {type(text).__name__}" if column in record else f"there is {list(record)}"
        raise ValueError(f"{where}: expected text in column {column!r}, {found}")
    return text


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            f'text from a data set needs datasets: pip install "twinsae[demo]" ({error})'
        ) from error
    return datasets


def _stream(source: str, split: str) -> Iterable[dict[str, Any]]:
    datasets = _datasets()
    name, _, config = source.removeprefix(DATASET).partition(":")
    try:
        stream: Iterable[dict[str, Any]] = datasets.load_dataset(
            name, config or None, split=split, streaming=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"text {source!r} cannot be opened: {reason}") from error
    return stream


def _saved_dataset(source: str, path: Path, split: str) -> Iterable[dict[str, Any]]:
    datasets = _datasets()
    saved = datasets.load_from_disk(str(path))
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise ValueError(f"text {source!r} has no split {split!r}, only {list(saved)}")
        saved = saved[split]
    rows: Iterable[dict[str, Any]] = saved
    return rows


def _dataset_documents(source: str, rows: Iterable[dict[str, Any]], column: str) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield _text_of(row, column, f"text {source!r}, row {number}")
