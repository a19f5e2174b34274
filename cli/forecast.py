"""What a match of two SAEs would take: memory, disk and time, before anything is downloaded."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..common.files import StrPath
from ..common.memory import DEFAULT_SHARE, available_memory
from ..common.units import format_bytes, format_seconds
from ..matching import match_memory
from ..matching.probe import predicted_seconds
from ..sae.formats.registry import find_family
from ..sae.formats.source import Source
from ..sae.hub import HubOptions, find_remote, is_name, parse_name
from ..sae.listing import Repository, describe


class Input(NamedTuple):
    """What is known of an SAE before it is read."""

    num_latents: int
    d_in: int
    to_download: int
    """Bytes that the Hub's cache has not."""
    to_turn: int
    """Bytes of the larger matrix that must be turned, in a temporary file."""


def look_at(given: StrPath) -> Input:
    """Return what the headers of an SAE's files tell.

    Raises:
        ValueError: its sizes or its orientation are not known; or as for `load_dictionary`.
        FileNotFoundError, OSError: as for `load_dictionary` and `find_remote`.
    """
    if is_name(given):
        options = HubOptions()
        remote = find_remote(parse_name(str(given)), options)
        tree = Repository(remote.name.repo, remote.snapshot, options)
        found = describe(tree, remote.files)
        if found.num_latents is None or found.d_in is None:
            raise ValueError(f"{given}: latents and width are not known before the download")
        return Input(found.num_latents, found.d_in, remote.missing_size(options), 0)
    source = Source(Path(given))
    names = find_family(source).names_of(source)
    matrix, num_latents, d_in = source.measure(names)
    turned = "columns" in source.orient(names).axes.values()
    element = source.tensor(matrix).element_size()
    return Input(num_latents, d_in, 0, element * num_latents * d_in if turned else 0)


def forecast(a: StrPath, b: StrPath) -> list[tuple[str, str]]:
    """Return what a match takes, as (what, found) pairs.

    Raises:
        ValueError: the widths differ; or as for `look_at`.
        FileNotFoundError, OSError: as for `look_at`.
    """
    inputs = [look_at(given) for given in (a, b)]
    one, other = inputs
    if one.d_in != other.d_in:
        raise ValueError(f"A and B must have the same width, not {one.d_in:,} and {other.d_in:,}")
    memory = match_memory(one.num_latents, other.num_latents, one.d_in).host
    allowed = int(DEFAULT_SHARE * available_memory())
    download = sum(found.to_download for found in inputs)
    scratch = sum(found.to_turn for found in inputs)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    seconds = predicted_seconds(one.num_latents, other.num_latents, one.d_in)
    fits = memory <= allowed and scratch <= free
    return [
        ("sizes", f"{one.num_latents:,} and {other.num_latents:,} latents, {one.d_in:,} wide"),
        ("download", format_bytes(download) if download else "nothing"),
        ("memory", f"{format_bytes(memory)} beyond the files, of {format_bytes(allowed)} allowed"),
        ("temporary files", f"{format_bytes(scratch)}, of {format_bytes(free)} free"),
        ("time, each side", f"{format_seconds(seconds)}, predicted from a probe of this machine"),
        ("fits", "yes" if fits else "no"),
    ]
