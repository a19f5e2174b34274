"""The figures of further analyses by name, each from the table that its command writes."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...common.tables import Table, load_table
from ..by_activations.files import FORMAT as BY_ACTIVATIONS
from ..by_activations.files import NAME
from ..certainty.bounds import LITTLE
from ..certainty.files import FORMAT as CERTAINTY
from ..chain import CHAIN_FORMAT
from ..matching import Matching
from ..splitting.files import CHILDREN
from ..splitting.files import FORMAT as SPLITTING
from ..stable import STABLE, STABLE_FORMAT
from ..substitution.files import CURVES
from ..substitution.files import FORMAT as SUBSTITUTION
from . import curves, histograms, joint, seeds, split_latents
from .drawing import Drawing
from .from_matches import matched_latents
from .pairs import read_json, read_pairs


class Analysis(NamedTuple):
    """A figure, and the table that it is of."""

    draw: Callable[..., Drawing]
    table: str
    """The file's name; ``{side}`` is an option of the figure."""
    writer: str
    """The command that writes it."""


def table_of(name: str, folder: Path, side: str = "decoder") -> Path:
    """Return the path of the table that a figure of this module is drawn from.

    Raises:
        FileNotFoundError: it is not there.
    """
    file = folder / ANALYSES[name].table.format(side=side)
    if not file.is_file():
        raise FileNotFoundError(
            f"no {file.name} in {folder}: `twinsae {ANALYSES[name].writer}` writes it"
        )
    return file


def _certainty(folder: Path, side: str = "decoder") -> Drawing:
    table = _read("certainty", folder, CERTAINTY, side)
    return histograms.certainty(table.columns, side=side, little=LITTLE)


def _by_activations(folder: Path, side: str = "decoder") -> Drawing:
    file = table_of("by-activations", folder)
    pairs = read_pairs(folder)
    told = read_json(file.with_suffix(".json"), BY_ACTIVATIONS)
    table = matched_latents(pairs, (side,))
    found = Matching.load(file)
    with np.load(file, allow_pickle=False) as stored:
        met = stored["together"] > 0
    cosine, match = np.full(len(found.row_max), np.nan), np.full(len(found.row_max), -1)
    cosine[found.rows[met]], match[found.rows[met]] = found.cosine[met], found.cols[met]
    if len(match) != len(table["latent"]):
        raise ValueError(
            f"{file} is of {len(match):,} latents, and {side}.npz of {len(table['latent']):,}"
        )
    table |= {"activation_cosine": cosine, "activation_match": match}
    threshold = float(pairs[0].summary["overlap"]["threshold"])
    return joint.by_activations(
        table, side=side, measure=told["settings"]["measure"], threshold=threshold
    )


def _substitution(folder: Path) -> Drawing:
    return curves.substitution(_read("substitution", folder, SUBSTITUTION).columns)


def _stable(folder: Path) -> Drawing:
    table = _read("stable", folder, STABLE_FORMAT)
    criterion = f"and_equal, cosine > {table.facts['threshold']:g}"
    return seeds.group_sizes(table.columns, criterion=criterion)


def _chain(folder: Path, side: str = "decoder") -> Drawing:
    table = _read("chain", folder, CHAIN_FORMAT, side)
    return curves.survival(table.columns, side=side, threshold=table.facts["threshold"])


def _splitting(folder: Path) -> Drawing:
    table = _read("splitting", folder, SPLITTING)
    return split_latents.splitting(table.columns, threshold=table.facts["summary"]["threshold"])


def _read(name: str, folder: Path, format_name: str, side: str = "decoder") -> Table:
    return load_table(table_of(name, folder, side), format_name)


ANALYSES = {
    "certainty": Analysis(_certainty, "{side}-certainty.npz", "certainty"),
    "by-activations": Analysis(_by_activations, f"{NAME}.npz", "match --by activations"),
    "substitution": Analysis(_substitution, CURVES, "substitute"),
    "stable": Analysis(_stable, STABLE, "stable"),
    "chain": Analysis(_chain, "chain-{side}.npz", "chain"),
    "splitting": Analysis(_splitting, CHILDREN, "splitting"),
}
