"""Measures how fast this processor multiplies codes, and says what share of that a scan reaches."""

import torch

from ..kernels import _native

REPEATS = 3


def codes_rate() -> float:
    """Return the roofline of int8 or int16 codes in 1e9 operations a second.

    A multiply-add counts as two operations. The rate is the best of a few runs of a loop that only
    multiplies registers, on as many threads as torch uses, with the instructions of the scans. It
    is 0 where they scan in float32.
    """
    return max(_native.codes_roofline(torch.get_num_threads()) for _ in range(REPEATS))


def roofline_note(operations: int, depth: int, seconds: float, rate: float) -> str:
    """Say which share of the roofline was reached; return "" where there is no roofline.

    Args:
        operations: floating-point operations of the whole product, once.
        depth: D.
        seconds: the time that they took.
        rate: the roofline, from `codes_rate`.
    """
    needed = operations * _native.codes_products(depth)
    if not (needed and rate):
        return ""
    return f"{needed / seconds / 1e9 / rate:.0%} of {rate:,.0f} GOP/s ({_native.isa()})"
