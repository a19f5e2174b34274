"""Text to run a language model on: Python's own documentation, local files, or `datasets`."""

from collections.abc import Iterable, Iterator
from itertools import chain

from .builtin import builtin_documents
from .rows import SUFFIXES, Row, file_rows, is_text_file, saved_rows, streamed_rows
from .sources import BUILTIN, check_text, is_saved_data_set, locate_text

Document = str | list[int]
"""Text, or token ids that somebody else made of it."""


def documents(source: str, *, column: str = "text", split: str = "train") -> "Documents":
    """Return the documents of a text source, always in the same order.

    Args:
        source: one of
            ``"builtin"``, CPython's own documentation (`builtin_documents`);
            a file: ``.jsonl`` (an object a line), ``.json`` (a list of objects or of strings),
            ``.csv`` and ``.parquet`` hold one document a row, any other file is one document;
            ``.gz`` may follow;
            a folder of such files, read recursively in the order of their paths, or which
            ``datasets`` wrote with ``save_to_disk``;
            ``"hf:NAME"`` or ``"hf:NAME:CONFIG"``, a data set that the ``datasets`` package opens,
            streamed.
        column: the column, or key, that holds the text, or lists of token ids. Where there is no
            ``"text"`` but ``"input_ids"``, these are taken, without those that a column
            ``attention_mask`` marks 0.
        split: the split of a data set.

    Returns:
        An iterator over the documents with any text in them; files and data sets are read as it
        advances, and rows without text are counted.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ImportError: a package that reads it is not installed.
        ValueError: no text in it, not UTF-8, no such column, or a package cannot open it. Found in
            the first document, it is raised at once, not when iterating.
    """
    return Documents(source, _open(source, column, split), column)


class Documents(Iterator[Document]):
    """The documents of a text source; see `documents`.

    Attributes:
        skipped: how many rows so far had no text: ``blank`` or ``null``.
    """

    def __init__(self, source: str, rows: Iterable[Row], column: str) -> None:
        self.skipped = {"blank": 0, "null": 0}
        self._column = column
        self._rows = self._filled(rows)
        first = next(self._rows, None)
        if first is None:
            raise ValueError(f"text {source!r} holds no text{self._without()}")
        self._rows = chain([first], self._rows)

    def __next__(self) -> Document:
        """Return the next document."""
        return next(self._rows)

    def _filled(self, rows: Iterable[Row]) -> Iterator[Document]:
        for value, where in rows:
            if value is None:
                self.skipped["null"] += 1
            elif isinstance(value, str | list) and not (
                value.strip() if isinstance(value, str) else value
            ):
                self.skipped["blank"] += 1
            elif isinstance(value, str) or _are_token_ids(value):
                yield value
            else:
                raise ValueError(
                    f"{where}: expected text in column {self._column!r}, it is {_kind(value)}"
                )

    def _without(self) -> str:
        found = [f"{count:,} {kind}" for kind, count in self.skipped.items() if count]
        return f": {' and '.join(found)} rows" if found else ""


def _are_token_ids(value: object) -> bool:
    return isinstance(value, list) and all(type(token) is int for token in value)


def _kind(value: object) -> str:
    if not isinstance(value, list):
        return type(value).__name__
    return f"a list of {', '.join(sorted({type(item).__name__ for item in value}))}"


def _open(source: str, column: str, split: str) -> Iterable[Row]:
    check_text(source)
    path = locate_text(source)
    if source == BUILTIN:
        return ((text, BUILTIN) for text in builtin_documents())
    if path is None:
        return streamed_rows(source, column, split)
    if path.is_file():
        return file_rows(path, column)
    if is_saved_data_set(path):
        return saved_rows(source, path, column, split)
    files = sorted(file for file in path.rglob("*") if is_text_file(file))
    if not files:
        raise ValueError(f"text folder {path} holds no {', '.join(SUFFIXES)} file")
    return chain.from_iterable(file_rows(file, column) for file in files)
