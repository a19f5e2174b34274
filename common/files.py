"""Files that are either complete or absent, whatever interrupts their writing."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

StrPath = str | os.PathLike[str]
"""What the public functions take for a path."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what is written there becomes ``path`` on success.

    The data reach the disk before the name does (fsync, rename, fsync of the folder), so that
    ``path`` holds the old content or the new, never a part. One process at a time may write a
    given ``path``: the temporary name is fixed, so that a killed run leaves at most one such file
    and the next write replaces it.

    Raises:
        OSError: the write failed, for example because the disk is full; it names ``path``, whose
            old content is untouched, and the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
