"""`certainty_files`: the certainty of a match on disk, as a table beside each of its matchings."""

from importlib.metadata import version

from ...common.files import StrPath
from ...common.progress import Progress, renamed, silent
from ...common.tables import save_table
from ...sae.formats.orientation import Orientation
from ..match_folder import open_match
from .bounds import EXACT, certainty_of_rows

FORMAT = "twinsae-certainty/1"


def certainty_files(
    folder: StrPath, *, orientation: Orientation | None = None, progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """Bound for each pair of a match how much the optimum falls without it, and write the bounds.

    For each side of the match, ``folder/<side>-certainty.npz`` gets one row a matched pair, with
    the columns ``latent_a`` and ``latent_b`` (int64), ``cosine`` (float32, as the match recorded
    it), ``lower`` and ``upper`` (float64, cosines; see `Certainty`) and ``exact`` (bool). The file
    ``<side>-certainty.json`` says what it was made from, and has what is returned.

    Args:
        folder: what `match_files` wrote; its two SAEs must still be where they were.
        orientation: as for `match_files`, if the match needed one.
        progress: told how far each phase of each side has come.

    Returns:
        What `Certainty.summary` says of each side.

    Raises:
        FileNotFoundError: there is no match, or one of its SAEs is gone.
        ValueError: a file is corrupt, or an SAE has changed since.
        OSError: a table could not be written.
    """
    opened = open_match(folder, orientation=orientation)
    found: dict[str, dict[str, float]] = {}
    for side, (a, b, matching, _) in opened.sides.items():
        told = renamed(progress or silent, before=f"{side} ")
        bounds = certainty_of_rows(a, b, matching, told)
        facts = bounds.summary()
        columns = {
            "latent_a": bounds.rows,
            "latent_b": bounds.cols,
            "cosine": matching.cosine.astype("float32"),
            "lower": bounds.lower,
            "upper": bounds.upper,
            "exact": bounds.exact,
        }
        source = {"twinsae": version("twinsae"), "side": side, **opened.facts, "within": EXACT}
        save_table(opened.folder / f"{side}-certainty.npz", FORMAT, columns, source | facts)
        found[side] = facts
    return found
