"""The two SAEs of a match, as `twinsae match` described them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...common.files import StrPath, sha256
from ...sae import SAE
from ...sae.formats import registry
from ...sae.formats.paths import weight_file
from ...sae.hub import LocatedSAE, locate
from ..match_files import FORMAT, SUMMARY
from ..matching import Matching
from .replacement import Ints


class Pair(NamedTuple):
    """Two SAEs, and the matching of their decoders."""

    a: SAE
    b: SAE
    exact: Ints
    """(L_A,) A's partners in B, -1 where there is none."""
    inputs: dict[str, Any]
    """What the match's summary says of A and B."""


def load_pair(folder: StrPath) -> Pair:
    """Load the SAEs of a match, and check that they are those that were matched.

    Raises:
        FileNotFoundError: there is no match, no matching of decoders in it, or an SAE is gone.
        ValueError: the summary is none of `match_files`, or an SAE's file is another one now.
    """
    folder = Path(folder)
    file = folder / SUMMARY
    try:
        summary = json.loads(file.read_text())
        found = summary["format"], summary["inputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no summary of a match: {error}") from error
    if found[0] != FORMAT:
        raise ValueError(f"{file}: expected format {FORMAT!r}, got {found[0]!r}")
    if not (folder / "decoder.npz").is_file():
        raise FileNotFoundError(f"{folder} has no decoder.npz: match the decoders, too")
    matching = Matching.load(folder / "decoder.npz")
    exact = one_to_one(matching.rows, matching.cols, len(matching.row_max))
    a, b = (open_matched(found[1][letter]) for letter in "ab")
    return Pair(a, b, exact, found[1])


def one_to_one(rows: Ints, cols: Ints, num_a: int) -> Ints:
    """Return the partners (num_a,) of all latents of A from pairs; -1 where there is none."""
    partner = np.full(num_a, -1, dtype=np.int64)
    partner[rows] = cols
    return partner


def load_partners(file: StrPath, num_a: int, num_b: int) -> Ints:
    """Return partners (num_a,) from the arrays ``rows`` and ``cols`` of a .npz file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no such arrays, or they are no one-to-one map of these sizes.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            rows, cols = stored["rows"], stored["cols"]
    except KeyError as error:
        raise ValueError(f"{file} is no matching: {error.args[0]}") from error
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{file} is no matching: {error}") from error
    for name, found, size in (("rows", rows, num_a), ("cols", cols, num_b)):
        whole = found.ndim == 1 and found.dtype.kind in "iu" and len(found) == len(rows)
        if not whole or len(np.unique(found)) < len(found):
            raise ValueError(f"{file}: {name} must be distinct whole numbers, one for each pair")
        if len(found) and not 0 <= found.min() <= found.max() < size:
            raise ValueError(f"{file}: {name} must be 0 to {size - 1:,}, the SAE's latents")
    return one_to_one(rows, cols, num_a)


def open_sae(located: LocatedSAE) -> SAE:
    """Return an SAE that computes in float32."""
    return SAE.from_stored(registry.load(located.path, **located.settings)).float()


def open_matched(facts: Mapping[str, str]) -> SAE:
    """Return the SAE that a match was made from, as `open_sae`.

    Args:
        facts: its ``path``, or ``name`` on the Hub, and the ``sha256`` of its file.

    Raises:
        FileNotFoundError: it is gone.
        ValueError: its file is another one now.
    """
    located = locate(facts.get("name", facts["path"]))
    file = weight_file(located.path)
    if sha256(file) != facts["sha256"]:
        raise ValueError(f"{file} has changed since the match: match again")
    return open_sae(located)
