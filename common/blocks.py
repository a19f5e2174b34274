"""Rows in blocks, so that work on many of them takes the memory of a few."""

from collections.abc import Iterator


def slices(stop: int, size: int, *, start: int = 0) -> Iterator[slice]:
    """Cut the rows from ``start`` to ``stop`` into consecutive slices.

    Args:
        stop: one more than the last row; none is yielded where it is not above ``start``.
        size: rows of each slice, at least 1; the last one may have fewer.
        start: the first row.

    Raises:
        ValueError: ``size`` is less than 1.
    """
    if size < 1:
        raise ValueError(f"size: expected 1 row or more, got {size}")
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))
