"""How fast this processor could multiply a scan's codes, and how much of that is reached."""

import torch

from ..kernels import _native

REPEATS = 3


def codes_rate() -> float:
    """Return the roofline of int8 or int16 codes in 1e9 operations a second.

    A multiply-add is two. It is the best of a few runs of a loop that multiplies registers only, on
    torch's number of threads, with the instructions of the scans; 0 where they scan in float32.
    """
    return max(_native.codes_roofline(torch.get_num_threads()) for _ in range(REPEATS))


def roofline_fact(operations: int, depth: int, seconds: float, rate: float) -> list[str]:
    """Return, in words, which share of the roofline was reached; nothing where there is none.

    Args:
        operations: of the whole product, once.
        depth: D.
        seconds: what they took.
        rate: see `codes_rate`.
    """
    needed = operations * _native.codes_products(depth)
    if not (needed and rate):
        return []
    return [f"{needed / seconds / 1e9 / rate:.0%} of {rate:,.0f} GOP/s ({_native.isa()})"]
