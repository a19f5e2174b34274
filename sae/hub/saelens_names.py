"""SAELens' registry of public SAEs, as a table that comes with twinsae.

``saelens_names.json.gz`` holds release, id, repository, path, factor and overrides of every SAE
that sae-lens registers, with its version and licence. ``make saelens-names`` makes it anew.
"""

import gzip
import json
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

TABLE = Path(__file__).with_name("saelens_names.json.gz")
_MOST_NAMED = 5


class Entry(NamedTuple):
    """What the registry says of one SAE."""

    repo: str
    path: str
    scaling: float | None
    """``norm_scaling_factor``: activations are multiplied by it before the encoder reads them."""
    overrides: dict[str, Any]
    """``config_overrides``: settings in place of those in ``cfg.json``."""


@cache
def table() -> dict[str, Any]:
    """Return the table.

    ``{"sae_lens": version, "notice": licence, "releases": {release: {"repo", "saes": {id: path},
    "scaling": {id: factor}, "overrides": {...}}}}``; scaling and overrides only where there are
    some.
    """
    with gzip.open(TABLE, "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def find(release: str, sae_id: str) -> Entry:
    """Return what the registry says of an SAE.

    Raises:
        ValueError: it has no such release or id; the message names the nearest ones.
    """
    releases = table()["releases"]
    if release not in releases:
        problem = f"saelens: there is no release {release!r}"
        raise ValueError(f"{problem}; {_near(release, list(releases))}")
    found = releases[release]
    if sae_id not in found["saes"]:
        problem = f"saelens: release {release!r} has no SAE {sae_id!r}"
        raise ValueError(f"{problem}; {_near(sae_id, list(found['saes']))}")
    scaling = found.get("scaling", {}).get(sae_id)
    return Entry(found["repo"], found["saes"][sae_id], scaling, found.get("overrides", {}))


def _near(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=_MOST_NAMED, cutoff=0.5)
    if close:
        return f"the nearest are {', '.join(close)}"
    return f"it has {len(known):,}, such as {', '.join(known[:_MOST_NAMED])}"
