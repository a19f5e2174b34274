"""`match_shuffled`: what a match by activations finds by chance."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...common.files import StrPath, sha256
from ...common.progress import Progress
from ...common.tables import read_json
from ...sae.formats.orientation import Orientation
from ...sae.formats.paths import weight_file
from ...sae.hub import LocatedSAE, locate
from ..criteria.nulls import refuse_same_folder, write_null
from ..matching import Matching
from .files import FORMAT, NAME, match_activation_files

OFTEN = 10
"""A pair is often active together if it is so on this many tokens or more."""


class Shuffled(NamedTuple):
    """A match by activations beside its null."""

    match: dict[str, Any]
    """The summary of the match."""
    null: dict[str, Any]
    """The summary of the null."""
    pairs: list[dict[str, float]]
    """For each ``similarity``, 0 to 0.9, how many pairs are above it: in the ``match`` and in the
    ``null``, of those that are active together on one token or more; and, as ``match_often`` and
    ``null_often``, on 10 or more."""


def match_shuffled(
    match: StrPath,
    out: StrPath,
    *,
    seed: int = 0,
    orientation: Orientation | None = None,
    progress: Progress | None = None,
) -> Shuffled:
    """Match A with B by activations once more, B's tokens in a random order, by the same settings.

    ``out`` gets the files of `match_activation_files`, and ``null.json``, which says what they are
    and how many pairs are above each similarity, in the match and in the null. As every latent of
    the smaller SAE gets the best partner that chance offers, similarities can be high: two latents
    that are each active on one token, the same by chance, have cosine 1.

    Args:
        match: a folder that `match_activation_files` wrote; its store and its two SAEs must still
            be where they were.
        out: the folder to write to; made if missing.
        seed: of the order of the tokens; another seed is another draw.
        orientation: as for `match_activation_files`, if the match needed one.
        progress: told how far each phase has come.

    Returns:
        The match, its null, and how many pairs each has.

    Raises:
        FileNotFoundError: there is no match by activations, or its store or an SAE is gone.
        ValueError: ``out`` is the match, an SAE has changed since, ``seed`` is negative, or
            `match_activation_files` refuses.
        OSError: the result could not be written.
    """
    refuse_same_folder(match, out)
    file = Path(match) / f"{NAME}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{match} has no {file.name}: run `twinsae match --by activations` first"
        )
    summary = read_json(file, FORMAT)
    a, b = (_unchanged(summary["inputs"][letter]) for letter in "ab")
    settings = {name: summary["settings"][name] for name in ("measure", "memory_limit", "verify")}
    found = match_activation_files(
        a, b, summary["store"]["path"], out, tokens=summary["store"]["tokens"], shuffle=seed,
        orientation=orientation, progress=progress, **settings,
    )  # fmt: skip
    pairs = _pairs_above(Path(match), Path(out))
    facts = {"kind": "shuffled", "seed": seed, "tokens_often": OFTEN, "pairs": pairs}
    write_null(out, facts, summary["inputs"]["b"])
    return Shuffled(summary, found, pairs)


def _unchanged(facts: dict[str, Any]) -> LocatedSAE:
    """Return an SAE that a summary describes, if its file is still the same."""
    located = locate(facts.get("name", facts["path"]))
    if sha256(weight_file(located.path)) != facts["sha256"]:
        raise ValueError(f"{located.path} has changed since the match: match again")
    return located


def _pairs_above(match: Path, null: Path) -> list[dict[str, float]]:
    steps = np.arange(10) / 10
    counted = {}
    for name, folder in (("match", match), ("null", null)):
        file = folder / f"{NAME}.npz"
        similarity = Matching.load(file).cosine
        with np.load(file, allow_pickle=False) as stored:
            together = stored["together"]
        for suffix, fewest in (("", 1), ("_often", OFTEN)):
            kept = np.sort(similarity[together >= fewest])
            counted[name + suffix] = (len(kept) - np.searchsorted(kept, steps, "right")).tolist()
    columns = {"similarity": steps.tolist(), **counted}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
