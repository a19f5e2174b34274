"""How fast this processor could multiply int8, and how much of that an encoder reaches."""

import torch

from ..kernels import _native

REPEATS = 3


def int8_rate() -> float:
    """Return the int8 roofline in 1e9 operations a second, a multiply-add being two.

    It is the best of a few runs of a loop that multiplies registers only, on torch's number of
    threads, with the instructions that the kernels use; 0 where they use none for int8.
    """
    return max(_native.int8_roofline(torch.get_num_threads()) for _ in range(REPEATS))


def roofline_fact(operations: int, depth: int, seconds: float, rate: float) -> list[str]:
    """Return, in words, which share of the roofline was reached; nothing where there is none.

    Args:
        operations: of the whole product, once.
        depth: D.
        seconds: what they took.
        rate: see `int8_rate`.
    """
    needed = operations * _native.int8_products(depth)
    if not (needed and rate):
        return []
    return [f"{needed / seconds / 1e9 / rate:.0%} of {rate:,.0f} int8 GOP/s"]
