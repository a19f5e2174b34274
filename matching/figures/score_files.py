"""Tables of latents' explanations, and of these explanations' scores, from CSV files."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...common.files import StrPath
from .drawing import Table

EXPLANATION = "explanation_cosine"
NAMES = ("sae", "seed")


def read_scores(path: StrPath) -> Table:
    """Read a table of scores.

    Args:
        path: a CSV file with a header and the columns ``sae`` or ``seed``, which SAE it is;
            ``latent``, its number from 0 on; ``score``, such as the balanced accuracy of its
            explanation; and perhaps some whose names begin with ``explanation_cosine``: the cosine
            of the explanation's embedding with that of another latent. Other columns are left out.
            A score or a cosine may be empty.

    Returns:
        ``sae`` (text), ``latent`` int64, and float64 columns of the file's names, NaN where empty.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a value is no number, or a latent comes twice.
    """
    path = Path(path)
    rows, saes, latents = _read(path, "score")
    header = rows[0] if rows else ()
    numbers = ["score", *(column for column in header if column.startswith(EXPLANATION))]
    columns = {
        column: np.array(list(_numbers(path, column, [row[column] for row in rows])))
        for column in numbers
    }
    return {
        "sae": np.array(saes, dtype=str),
        "latent": np.array(latents, dtype=np.int64),
        **columns,
    }


def read_texts(path: StrPath) -> list[tuple[str, int, str]]:
    """Read a table of explanations.

    Args:
        path: a CSV file with a header and the columns ``sae`` or ``seed`` and ``latent``, as for
            `read_scores`, and ``explanation``. Other columns are left out.

    Returns:
        The SAE, the latent and its explanation, for each row.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, or a latent comes twice.
    """
    rows, saes, latents = _read(Path(path), "explanation")
    texts = [row["explanation"] or "" for row in rows]
    return list(zip(saes, latents, texts, strict=True))


def of_sae(scores: Table, name: str, num_latents: int) -> Table:
    """Return one SAE's scores, one row for each of its latents.

    Args:
        scores: of `read_scores`.
        name: what the SAE is called. A file may call "seed3" just 3.
        num_latents: L.

    Returns:
        The number columns of ``scores``, (L,), NaN where there is none.

    Raises:
        ValueError: a latent's number is not below L.
    """
    own = np.isin(scores["sae"], written_as(name))
    latents = scores["latent"][own]
    wrong = latents[(latents < 0) | (latents >= num_latents)]
    if wrong.size:
        raise ValueError(
            f"scores: {name} has latents 0 to {num_latents - 1:,}, but there is a score of latent "
            f"{wrong[0]:,}"
        )
    found: Table = {}
    for column in number_columns(scores):
        found[column] = np.full(num_latents, np.nan)
        found[column][latents] = scores[column][own]
    return found


def written_as(name: str) -> tuple[str, str]:
    """Return how a file may write an SAE's name: "seed3" may be 3."""
    return name, name.removeprefix("seed")


def number_columns(scores: Table) -> list[str]:
    """Return the names of the columns that hold numbers."""
    return [name for name in scores if name not in ("sae", "latent")]


def need_scores(found: object, scores: Table, names: Sequence[str]) -> None:
    """Raise a ValueError unless something is ``found``: no score is of the SAEs ``names``."""
    if not found:
        given = ", ".join(sorted(set(scores["sae"].tolist()))) or "none"
        raise ValueError(f"scores: expected some of {', '.join(names)}, got those of {given}")


def _read(path: Path, column: str) -> tuple[list[dict[str, str]], list[str], list[int]]:
    """Return the rows of a table that has this column, and each one's SAE and latent."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            header = list(reader.fieldnames or [])
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV table in UTF-8: {error}") from error
    name = next((name for name in NAMES if name in header), None)
    missing = ["sae or seed"] * (name is None)
    missing += [needed for needed in ("latent", column) if needed not in header]
    if missing:
        raise ValueError(f"{path}: expected a CSV table with the columns {', '.join(missing)}")
    saes = [(row[name or ""] or "").strip() for row in rows]
    latents = list(_whole(path, [row["latent"] for row in rows]))
    seen: set[tuple[str, int]] = set()
    for line, key in enumerate(zip(saes, latents, strict=True), 2):
        if key in seen:
            raise ValueError(f"{path}, line {line}: latent {key[1]} of {key[0]!r} comes twice")
        seen.add(key)
    return rows, saes, latents


def _whole(path: Path, texts: Sequence[str | None]) -> Iterator[int]:
    for line, text in enumerate(texts, 2):
        if not (text or "").strip().isdecimal():
            raise ValueError(f"{path}, line {line}: latent: expected a whole number, got {text!r}")
        yield int(text or "")


def _numbers(path: Path, column: str, texts: Sequence[str | None]) -> Iterator[float]:
    for line, text in enumerate(texts, 2):
        try:
            number = float(text) if text and text.strip() else math.nan
        except ValueError:
            number = math.inf
        if math.isinf(number):
            raise ValueError(f"{path}, line {line}: {column}: expected a number, got {text!r}")
        yield number
