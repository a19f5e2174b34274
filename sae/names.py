"""What several SAEs are called, told by their paths."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..common.files import StrPath
from .formats.paths import sae_name
from .hub.names import is_name, parse_name

Parts = tuple[str, ...]


def distinct_names(paths: Sequence[StrPath]) -> list[str]:
    """Return a name for each SAE: the shortest end of its path that tells it from the others.

    Parts of the path that all SAEs have in common are left out, so that ``hub/k32-seed1/layers.6``
    and ``hub/k32-seed2/layers.6`` are "k32-seed1" and "k32-seed2". A link keeps its own name.

    Args:
        paths: SAE folders, files, or names on the Hub; none of them is read.

    Raises:
        ValueError: a path is given twice.
    """
    parts = [_parts(path, sae_name(Path(path))) for path in paths]
    if len(set(parts)) < len(parts):  # files of one name with several endings
        parts = [_parts(path, Path(path).name) for path in paths]
    if len(set(parts)) < len(parts):
        given = zip(paths, parts, strict=True)
        twice = next(path for path, own in given if parts.count(own) > 1)
        raise ValueError(f"{twice} is given twice: expected different SAEs")
    if len(parts) == 1:
        return [parts[0][-1]]
    ends = differing_ends(parts, 1)
    telling = [place for place, found in enumerate(zip(*ends, strict=True)) if len(set(found)) > 1]
    return ["-".join(end[place] for place in telling if end[place]) for end in ends]


def all_names(paths: Sequence[StrPath], given: Sequence[str | None]) -> list[str]:
    """Return the name of each SAE: the given one, or where it is None one of `distinct_names`.

    Raises:
        ValueError: there are not as many names as paths, or two are the same; or a path without a
            name is given twice.
    """
    if len(given) != len(paths):
        raise ValueError(f"names: expected {len(paths)} of them, got {len(given)}")
    unnamed = [path for path, name in zip(paths, given, strict=True) if name is None]
    made = iter(distinct_names(unnamed) if unnamed else [])
    names = [next(made) if name is None else name for name in given]
    if len(set(names)) < len(names):
        raise ValueError(f"names: expected {len(paths)} different names, got {names}")
    return names


def differing_ends(paths: Sequence[Parts], least: int) -> list[Parts]:
    """Return the last parts of each path, ``least`` or more: as many as make all paths differ.

    Shorter paths are filled with empty parts. Equal paths have equal ends.
    """
    longest = max(map(len, paths))
    filled = [("",) * (longest - len(path)) + path for path in paths]
    different = len(set(paths))
    for size in range(least, longest):
        ends = [path[-size:] for path in filled]
        if len(set(ends)) == different:
            return ends
    return filled


def _parts(path: StrPath, last: str) -> Parts:
    if is_name(path):
        name = parse_name(str(path))
        revision = () if name.revision is None else (name.revision,)
        return (*name.repo.split("/"), *revision, *filter(None, name.path.split("/")))
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    return (*absolute.parent.parts[1:], last)  # without the root
