"""Bytes and times, as people write and read them."""

import re

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_bytes(text: str) -> int:
    """Return the bytes that `text` stands for, such as 800MB, 8GiB or 123456.

    Raises:
        ValueError: if `text` is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text.lower())
    if found is None:
        raise ValueError(f"expected a size such as 8GiB, got {text!r}")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def counted(count: int, noun: str) -> str:
    """Return `count` of what `noun` names, such as "1 file" or "1,200 files"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_bytes(count: float) -> str:
    """Return `count` bytes as text, in MiB or GiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def format_seconds(count: float) -> str:
    """Return `count` seconds as text, in seconds, minutes or hours."""
    if count < 99.5:
        return f"{count:.0f} s"
    minutes = count / 60
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"
