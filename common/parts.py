"""Parts of a list of work, for several machines that each do one."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def part_of(items: Sequence[T], shard: tuple[int, int]) -> Sequence[T]:
    """Return part i of n of some items: the i-th and every n-th after it.

    Args:
        items: all of them, in an order that is the same for all parts.
        shard: (i, n), i from 1 to n.

    Raises:
        ValueError: ``shard`` is not (i, n) with 1 <= i <= n.
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard: expected i/n with 1 <= i <= n, got {part}/{parts}")
    return items[part - 1 :: parts]
