"""Files that are fetched a block at a time: of those on the Hub often only headers are wanted."""

import io
import os
from collections.abc import Callable

BLOCK = 2**16
_MOST = 256
"""Blocks that may be asked for: headers never need so many, only a damaged file does."""


class RangeFile(io.RawIOBase):
    """A file that can seek, of which blocks are fetched when they are first read.

    Args:
        size: bytes of the file.
        fetch: returns the bytes from its first argument on, up to its second, exclusive.
        path: what it is called, for messages.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], path: str) -> None:
        self._size, self._fetch, self._path = size, fetch, path
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can seek."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self._path}: there is no byte {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read up to the end of a block.

        Raises:
            ValueError: more is asked for than any header has.
            OSError: as `fetch`.
        """
        number, start = divmod(self._position, BLOCK)
        if self._position >= self._size:
            return 0
        if number not in self._blocks:
            if len(self._blocks) == _MOST:
                raise ValueError(f"{self._path}: its headers take over {_MOST * BLOCK:,} bytes")
            first = number * BLOCK
            self._blocks[number] = self._fetch(first, min(first + BLOCK, self._size))
        piece = self._blocks[number][start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
