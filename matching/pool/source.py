"""What is pooled: the SAEs of a folder of matches, and the groups of their stable latents."""

from pathlib import Path
from typing import Any, NamedTuple

from ...common.tables import load_table, read_json
from ...sae import SAE
from ..match_all import ALL_FORMAT, ALL_SUMMARY
from ..stable import STABLE, STABLE_FORMAT
from ..substitution.pair import open_matched
from .groups import Groups, groups_of


class Source(NamedTuple):
    """The SAEs whose stable latents are pooled."""

    names: list[str]
    saes: list[SAE]
    groups: Groups
    facts: dict[str, Any]
    """Where they are from, for the result's JSON file."""


def read_source(folder: Path, seeds_at_least: int | None) -> Source:
    """Read a folder of matches, and choose the groups with latents of so many SAEs (None: all).

    Raises:
        FileNotFoundError: a file of the folder, or an SAE, is not there.
        ValueError: the files do not belong together, an SAE is another one now or none that can be
            pooled, or there are no such groups.
    """
    columns, facts = load_table(folder / STABLE, STABLE_FORMAT)
    listed = {
        each["name"]: each for each in read_json(folder / ALL_SUMMARY, ALL_FORMAT)["dictionaries"]
    }
    names = facts["dictionaries"]
    if any(facts.get("weights", {}).get(name) != _digest(listed.get(name)) for name in names):
        raise ValueError(f"{folder}: the matches are newer than {STABLE}; run `twinsae stable`")
    at_least = len(names) if seeds_at_least is None else seeds_at_least
    groups = groups_of(columns["seed"], columns["latent"], columns["group"], len(names), at_least)
    if not len(groups.group):
        raise ValueError(f"{folder}: no group has latents of {at_least} SAEs: choose fewer seeds")
    saes = [_open(listed[name]) for name in names]
    made_from = {
        "stable": {"path": str((folder / STABLE).resolve()), "sha256": facts["sha256"]},
        "saes": [{key: listed[name][key] for key in ("name", "path", "sha256")} for name in names],
    }
    return Source(names, saes, groups, made_from)


def _open(listed: dict[str, Any]) -> SAE:
    sae = open_matched({key: listed[key] for key in ("path", "sha256")})
    if not sae.config.trainable:
        raise ValueError(
            f"{listed['path']}: activation {sae.config.activation} with normalization "
            f"{sae.config.normalization} cannot be pooled: expected an SAE such as `train` makes"
        )
    return sae


def _digest(listed: dict[str, Any] | None) -> str:
    return "" if listed is None else str(listed["sha256"])
