"""Numbers and paths in words: how the report writes shares, counts, times, sizes and places."""

import math
import re
from pathlib import PurePath

NO_BREAK = "\N{NO-BREAK SPACE}"

ONE_TO_ONE = ("and", "and_equal", "decoder", "encoder", "mean", "equal")
MANY_TO_ONE = ("max", "max_decoder", "max_encoder")

MEANINGS = {
    "and": "decoder cosine and encoder cosine both above {tau}, each with its own match",
    "and_equal": "the same, and the two matchings name the same partner",
    "decoder": "decoder cosine above {tau}",
    "encoder": "encoder cosine above {tau}",
    "mean": "mean of decoder and encoder cosine above {tau}",
    "equal": "the two matchings name the same partner, whatever the cosine",
    "max": "most similar decoder row and most similar encoder row of B both above {tau}",
    "max_decoder": "most similar decoder row of B above {tau}",
    "max_encoder": "most similar encoder row of B above {tau}",
}


def percent(share: float) -> str:
    """Return a share (0 to 1) as a percentage with one decimal: ``0.2604`` is ``26.0 %``."""
    return f"{100 * share:.1f}{NO_BREAK}%"


def headline_percent(share: float) -> str:
    """Return a share (0 to 1) for a heading: as in the tables, except at the ends.

    Nothing is "None", and everything "All"; a share that would round to 0 or 100 says "Under" or
    "Over".
    """
    if share in (0, 1):
        return "All" if share else "None"
    if share < 0.001:
        return f"Under 0.1{NO_BREAK}%"
    if share > 0.999:
        return f"Over 99.9{NO_BREAK}%"
    return percent(share)


def count(number: int) -> str:
    """Return a whole number with thousands separated: ``20736`` is ``20,736``."""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """Return a time in seconds as ``0.42 s``, ``12.3 s``, ``4 min 5 s`` or ``2 h 3 min``."""
    if seconds < 10:
        return f"{seconds:.2f}{NO_BREAK}s"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}{NO_BREAK}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NO_BREAK}min {rest}{NO_BREAK}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NO_BREAK}h {minutes}{NO_BREAK}min"


def size(number: float) -> str:
    """Return a number of bytes in MiB or GiB: ``2**30`` is ``1.0 GiB``."""
    if number < 2**30:
        return f"{number / 2**20:.1f}{NO_BREAK}MiB"
    return f"{number / 2**30:.1f}{NO_BREAK}GiB"


def small(number: float) -> str:
    """Return a number that is often tiny, such as a gap: ``0`` or two digits, ``3.1e-11``."""
    if number == 0:
        return "0"
    if not math.isfinite(number) or 0.001 <= abs(number) < 1000:
        return f"{number:.3g}"
    return f"{number:.1e}"


def place(path: str | PurePath) -> str:
    """Return the last two parts of a path, which tell a reader enough; the page may travel."""
    return "/".join(PurePath(path).parts[-2:]).lstrip("/")


def without_paths(line: str) -> str:
    """Return a message with the last two parts of each absolute path in it."""
    return re.sub(r"(?<![\w.:/])/[^\s:,;'\"]+", lambda found: place(found[0]), line)
