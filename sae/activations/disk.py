"""How much disk a harvest needs, which is checked before it begins."""

import shutil
from pathlib import Path

from ...common.units import format_bytes
from .rows import is_text_file
from .sources import BUILTIN, locate_text

_TOKEN_BYTES = 16  # of a stored row: its sequence's number, its position and the sequence's tokens
_PIECE = 65_536  # letters that go to the tokenizer at once, which may add a token to each
_BUILTIN = 2**22  # more than twice the letters of `builtin_documents`
_COMPRESSED = (".gz", ".parquet", ".arrow")


def row_bytes(d_in: int, itemsize: int) -> int:
    """Return the bytes of a stored activation with its token."""
    return d_in * itemsize + _TOKEN_BYTES


def check_disk(folder: Path, needed: int) -> int:
    """Return the bytes that are free where a folder is or will be.

    Raises:
        OSError: ``needed`` bytes are more than that; the message says so.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OSError(
            f"activations in {folder} take up to {format_bytes(needed)}, but that disk has "
            f"{format_bytes(free)} free: ask for fewer tokens or another folder, or stream them"
        )
    return free


def most_tokens(text: str) -> int | None:
    """Return a number of tokens that a text cannot exceed, or None where it is not known.

    A token of plain text stands for at least a byte, and each document ends with one more.
    """
    path = locate_text(text)
    if path is None:
        return _BUILTIN if text == BUILTIN else None
    files = [path] if path.is_file() else [f for f in path.rglob("*") if is_text_file(f)]
    if not files or any(file.suffix in _COMPRESSED for file in files):
        return None
    sizes = [file.stat().st_size for file in files]
    return sum(size + size // _PIECE + 2 for size in sizes)
