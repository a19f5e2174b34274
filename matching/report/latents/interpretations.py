"""Explanations of latents and their scores, from the files that people have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....common.files import StrPath
from ...figures.pairs import read_pairs
from ...figures.score_files import need_scores, of_sae, read_scores, read_texts, written_as
from .delphi import read_results


class Interpretations(NamedTuple):
    """What is said of the latents of some SAEs."""

    scores: dict[str, dict[str, NDArray[np.float32]]]
    """{SAE: {what the score is called: (L,), NaN where a latent has none}}."""
    explanations: dict[str, list[str]]
    """{SAE: L texts, empty where a latent has none}."""


def read_interpretations(
    folder: StrPath,
    *,
    scores: StrPath | None = None,
    explanations: Sequence[tuple[str | None, StrPath]] = (),
) -> Interpretations:
    """Read explanations and scores of the SAEs in a folder of matches.

    Args:
        folder: what `match_files` or `match_all` wrote.
        scores: a CSV table, as `twinsae figure scores` takes it.
        explanations: the SAE's name, or None, and a place: a CSV table with the columns ``sae`` or
            ``seed``, ``latent`` and ``explanation``, which names the SAEs itself; or the results of
            delphi for the SAE that is named, as `delphi.read_results` reads them.

    Returns:
        The SAEs of which something is said.

    Raises:
        FileNotFoundError: a file or folder is not there.
        ValueError: a file is not as above, or says something of no SAE or latent of the folder, or
            two places explain one SAE.
    """
    saes = _saes(Path(folder))
    found = Interpretations({}, {})
    if scores is not None:
        table = read_scores(scores)
        for name, facts in saes.items():
            if np.isin(table["sae"], written_as(name)).any():
                columns = of_sae(table, name, facts["num_latents"])
                found.scores[name] = {key: _float32(values) for key, values in columns.items()}
        need_scores(found.scores, table, list(saes))
    for given, place in explanations:
        _add(found, saes, given, Path(place))
    return found


def _saes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the summaries say of each SAE, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for pair in read_pairs(folder):
        found |= {pair.a: pair.summary["inputs"]["a"], pair.b: pair.summary["inputs"]["b"]}
    return found


def _add(
    found: Interpretations, saes: dict[str, dict[str, Any]], name: str | None, place: Path
) -> None:
    """Add what one place says."""
    if place.is_dir():
        if name not in saes:
            raise ValueError(
                f"explanations: {place} is of one SAE: expected NAME={place}, where NAME is one of "
                f"{', '.join(saes)}, got {name or 'no name'}"
            )
        results = read_results(place, Path(saes[name]["path"]).parts)
        num_latents = saes[name]["num_latents"]
        for scorer, values in results.scores.items():
            column = np.full(num_latents, np.nan, dtype=np.float32)
            for latent, value in values.items():
                column[_latent(place, name, latent, num_latents)] = value
            found.scores.setdefault(name, {})[scorer] = column
        _explain(found, saes, name, place, results.explanations)
        return
    if name is not None:
        raise ValueError(f"explanations: {place} names its SAEs itself: leave {name}= out")
    rows = read_texts(place)
    for sae in saes:
        own = {latent: text for given, latent, text in rows if given in written_as(sae)}
        _explain(found, saes, sae, place, own)
    if not found.explanations:
        given = ", ".join(sorted({sae for sae, _, _ in rows})) or "none"
        raise ValueError(f"{place}: expected some of {', '.join(saes)}, got those of {given}")


def _explain(
    found: Interpretations,
    saes: dict[str, dict[str, Any]],
    name: str,
    place: Path,
    texts: dict[int, str],
) -> None:
    if not texts:
        return
    if name in found.explanations:
        raise ValueError(f"explanations: {place} explains {name}, as another place does, too")
    num_latents = saes[name]["num_latents"]
    own = found.explanations[name] = [""] * num_latents
    for latent, text in texts.items():
        own[_latent(place, name, latent, num_latents)] = text


def _latent(place: Path, name: str, latent: int, num_latents: int) -> int:
    if latent >= num_latents:
        raise ValueError(
            f"{place}: {name} has latents 0 to {num_latents - 1:,}, but latent {latent:,} is "
            "explained"
        )
    return latent


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32)
