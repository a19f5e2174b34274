"""How fast this processor could multiply int8, and how much of that an encoder reaches."""

import torch

from ..kernels import _native

REPEATS = 3


def int8_rate() -> float:
    """Return the int8 roofline in 1e9 operations a second, a multiply-add being two.

    It is the best of a few runs of a loop that multiplies registers only, on torch's number of
    threads, with the instructions that the kernels use; 0 where they use none for int8.
    """
    measure = getattr(_native, "int8_roofline", _none)
    return float(max(measure(torch.get_num_threads()) for _ in range(REPEATS)))


def int8_products(depth: int) -> int:
    """Return how many int8 products the scan computes for one float32 product.

    Args:
        depth: D.

    Returns:
        1 with one int8 plane for each side, 3 with two; 0 where the kernels take no int8.
    """
    return int(getattr(_native, "int8_products", _none)(depth))


def roofline_fact(operations: int, depth: int, seconds: float, rate: float) -> list[str]:
    """Return, in words, which share of the roofline was reached; nothing where there is none.

    Args:
        operations: of the whole product, once.
        depth: D.
        seconds: what they took.
        rate: see `int8_rate`.
    """
    needed = operations * int8_products(depth)
    if not (needed and rate):
        return []
    return [f"{needed / seconds / 1e9 / rate:.0%} of {rate:,.0f} int8 GOP/s"]


def _none(_: int) -> int:
    return 0
