"""What delphi leaves of one SAE: explanations of latents, and what its scorers' models answered.

delphi (https://github.com/EleutherAI/delphi, as of version 0.1.3) writes one JSON file a latent:

| file | content |
|---|---|
| ``explanations/<hookpoint>_latent<n>.txt`` | the explanation, a string |
| ``scores/<scorer>/<hookpoint>_latent<n>.txt`` | a list of records, one a question |

The records of the scorers "detection" and "fuzz" say whether the latent is active in the text
(``activating``) and whether the model thinks so (``prediction``, null where it gave no answer).
Their score is the balanced accuracy: the mean of the shares that are right of the active texts and
of the others. Those of "intruder" say whether the answer is right (``correct``); the score is the
share that is. Other scorers' records have none of these; they are left out.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_FILE = re.compile(r"(?P<hookpoint>.+)_latent(?P<latent>[0-9]+)")


class Results(NamedTuple):
    """What is said of an SAE's latents."""

    scores: dict[str, dict[int, float]]
    """{scorer: {latent: score}}; NaN where no answer counts."""
    explanations: dict[int, str]


def read_results(folder: Path, path_of_sae: Sequence[str]) -> Results:
    """Read delphi's results of one SAE.

    Args:
        folder: a folder with ``explanations``, ``scores`` or both.
        path_of_sae: the parts of the SAE's path. Where the results are of several hookpoints, one
            part must be the hookpoint.

    Raises:
        ValueError: there are no results, they are of other hookpoints, or a file is not as above.
    """
    scorers = sorted(place for place in folder.glob("scores/*") if place.is_dir())
    files = {place: _files(place) for place in (folder / "explanations", *scorers)}
    hookpoints = sorted({hookpoint for found in files.values() for hookpoint, _ in found})
    hookpoint = _choose(folder, hookpoints, path_of_sae)
    own = {
        place: {latent: file for (at, latent), file in found.items() if at == hookpoint}
        for place, found in files.items()
    }
    scores = {place.name: dict(_scores(own[place])) for place in scorers}
    return Results(
        {name: values for name, values in scores.items() if values},
        {latent: _explanation(file) for latent, file in own[folder / "explanations"].items()},
    )


def _files(folder: Path) -> dict[tuple[str, int], Path]:
    """Return the files of a folder by hookpoint and latent."""
    found = {}
    for file in sorted(folder.glob("*.txt")):
        parts = _FILE.fullmatch(file.stem)
        if parts is None:
            raise ValueError(f"{file}: expected a name such as layers.5.mlp_latent12.txt")
        found[parts["hookpoint"], int(parts["latent"])] = file
    return found


def _choose(folder: Path, hookpoints: Sequence[str], path_of_sae: Sequence[str]) -> str:
    if not hookpoints:
        raise ValueError(
            f"{folder} has no results of delphi: expected explanations/*.txt or scores/*/*.txt"
        )
    own = [hookpoint for hookpoint in hookpoints if hookpoint in path_of_sae]
    if len(hookpoints) > 1 and len(own) != 1:
        raise ValueError(
            f"{folder} has results of {', '.join(hookpoints)}: expected one of them in the SAE's "
            f"path, {Path(*path_of_sae)}"
        )
    return own[0] if own else hookpoints[0]


def _explanation(file: Path) -> str:
    text = _json(file)
    if not isinstance(text, str):
        raise ValueError(f"{file}: expected a string, got {type(text).__name__}")
    # JSON can name half of a pair of surrogates, which no UTF-8 has.
    return text.encode(errors="replace").decode()


def _scores(files: dict[int, Path]) -> Iterator[tuple[int, float]]:
    """Yield each latent's score; nothing for a scorer whose records are not known."""
    for latent, file in files.items():
        records = _json(file)
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            continue
        if all("activating" in each and "prediction" in each for each in records):
            yield latent, _balanced_accuracy(records)
        elif all("correct" in each for each in records):
            yield latent, _share([bool(each["correct"]) for each in records])


def _balanced_accuracy(records: Sequence[dict[str, Any]]) -> float:
    answered = [each for each in records if each["prediction"] is not None]
    right: dict[bool, list[bool]] = {True: [], False: []}
    for each in answered:
        active = bool(each["activating"])
        right[active].append(bool(each["prediction"]) == active)
    return (_share(right[True]) + _share(right[False])) / 2


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else math.nan


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
