"""Files that are either complete or absent, whatever interrupts their writing."""

import glob
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

StrPath = str | os.PathLike[str]
"""What the public functions take for a path."""


@contextmanager
def atomic_write(path: Path, *, first_wins: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what is written there becomes ``path`` on success.

    The data reach the disk before the name does (fsync, rename, fsync of the folder), so that
    ``path`` holds the old content or the new, never a part. Several processes, on one host or on
    several that share the folder, may write the same ``path``: each has a temporary name of its
    own, and the last to end wins. What a killed process left is deleted by the next write on its
    host.

    Args:
        path: the file.
        first_wins: leave a ``path`` that is there as it is, so that of several writers the first
            to end wins. Where the file system knows no hard links, the last does.

    Raises:
        OSError: the write failed, for example because the disk is full; it names ``path``, whose
            old content is untouched, and the temporary file is gone.
    """
    host = f".{path.name}.{socket.gethostname()}"
    temporary = path.with_name(f"{host}-{os.getpid()}.tmp")
    _delete_leftovers(path.parent, host)
    try:
        yield temporary
        _sync(temporary)
        if first_wins:
            _link(temporary, path)
        else:
            temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless another has it; a link, unlike a rename, replaces nothing."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:
        temporary.replace(path)
    temporary.unlink(missing_ok=True)


def _delete_leftovers(folder: Path, host: str) -> None:
    for leftover in folder.glob(f"{glob.escape(host)}-*.tmp"):
        process = leftover.name.removeprefix(f"{host}-").removesuffix(".tmp")
        if process.isdecimal() and not _lives(int(process)):
            leftover.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; too large to be sent a signal
        return True
    return True


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
