"""The page of a folder with matches below it: what there is, and where the reports are."""

from collections.abc import Sequence
from pathlib import Path

from ...sae.training.log import LOG
from ..criteria.overlap import main_criterion
from ..figures.pairs import Pair, read_pairs, read_seeds
from ..match_all import ALL_SUMMARY
from ..match_files import SUMMARY
from . import words
from .overview import Variables, report_beside
from .proof_words import certificate
from .templates import write_page


def render_listing(folder: Path) -> Path:
    """Write ``folder/report/index.html``, which lists the matches below a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file is damaged.
        OSError: the page could not be written.
    """
    rows = matches_below(folder)
    if not rows:
        raise FileNotFoundError(
            f"no {SUMMARY}, {ALL_SUMMARY} or {LOG} in {folder}, and no match below it: expected a "
            "folder of `twinsae match`, `twinsae match-all` or `twinsae train`, or one with "
            "matches in it"
        )
    name = folder.resolve().name
    number = f"{len(rows)} matches" if len(rows) > 1 else "One match"
    return write_page(folder, "listing.html", {"headline": f"{number} in {name}", "matches": rows})


def matches_below(folder: Path) -> list[Variables]:
    """Return a row for each match below a folder; pairs of one `match_all` are one row."""
    many = sorted(path.parent for path in folder.rglob(ALL_SUMMARY))
    single = sorted(path.parent for path in folder.rglob(SUMMARY))
    alone = [match for match in single if match.parent not in many]
    done = [match for match in many if any(pair.parent == match for pair in single)]
    return [_row(match, folder) for match in sorted([*done, *alone])]


def _row(match: Path, folder: Path) -> Variables:
    pairs = read_pairs(match)
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    sides = {f"{p.name} {side}": block for p in pairs for side, block in p.summary["sides"].items()}
    main = main_criterion(pairs[0].summary["sides"])
    return {
        "place": match.relative_to(folder).as_posix(),
        "names": names,
        "pairs": len(pairs),
        "criterion": main,
        "share": _share(match, pairs, main),
        "proved": certificate(sides).proved,
        "report": report_beside(match, folder),
        "command": f"twinsae report {words.place(match.resolve())}",
    }


def _share(match: Path, pairs: Sequence[Pair], main: str) -> float:
    if (match / SUMMARY).is_file():
        return float(pairs[0].summary["overlap"]["criteria"][main])
    return float(read_seeds(match)["over_seeds"][main]["mean"])
