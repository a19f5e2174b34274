"""The SAEs of a pass over activations: where each one's table goes, and what it is made from."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from torch import Tensor

from ...common.files import StrPath, sha256
from ...common.progress import Progress, renamed
from ...common.tables import table_facts
from ..activations import ActivationStore
from ..formats.paths import weight_file
from ..formats.registry import load
from ..formats.stored import StoredSAE
from ..hub import LocatedSAE, locate
from ..names import distinct_names


class Sums(Protocol):
    """What a pass gathers of one SAE."""

    tokens: int
    """The tokens so far."""

    def add(self, values: Tensor, indices: Tensor, /) -> None:
        """Take in the codes (n, k) of the next tokens; ValueError where one is not finite."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all there is, as arrays that `restore` takes."""

    def restore(self, state: dict[str, NDArray[Any]], /) -> None:
        """Go on from what `state` returned."""

    def save(self, file: Path, facts: Mapping[str, Any], /) -> None:
        """Write the table and its description."""


class Kind(NamedTuple):
    """What a pass makes."""

    phase: str
    """The phase that `Progress` is told."""
    file: str
    """The name of its tables, such as "firing.npz"."""
    format: str
    """The format that their descriptions name."""
    begin: Callable[[int], Sums]
    """Gives empty sums of so many latents."""
    facts: Mapping[str, Any]
    """More that the descriptions say."""


@dataclass(frozen=True)
class Job:
    """One SAE of a pass."""

    name: str
    stored: StoredSAE
    file: Path
    """Its table's place."""
    kind: Kind
    facts: Mapping[str, Any]
    """What the table's description says: sae, activations, tokens, and what the kind adds."""

    def is_done(self) -> bool:
        """Return whether the table is there already."""
        try:
            return self.fits(table_facts(self.file, self.kind.format))
        except (FileNotFoundError, ValueError):
            return False

    def fits(self, facts: Mapping[str, Any]) -> bool:
        """Return whether other facts are of the same SAE and activations, wherever these lie."""
        return _identity(facts) == _identity(self.facts)


def _identity(facts: Mapping[str, Any]) -> object:
    sae, corpus = facts["sae"], facts.get("corpus", {})
    return (
        sae["sha256"],
        sae["config"],
        facts["activations"]["sha256"],
        facts["tokens"],
        corpus.get("sha256"),
    )


def tokens_to_count(store: ActivationStore, tokens: int | None) -> int:
    """Return how many of the first rows a pass reads: ``tokens`` at most, None for all.

    Raises:
        ValueError: there are none.
    """
    rows = store.rows if tokens is None else min(tokens, store.rows)
    if rows < 1:
        raise ValueError(f"{store.path}: there are no activations")
    return rows


def plan(
    saes: Sequence[StrPath],
    store: ActivationStore,
    out: StrPath | None,
    kind: Kind,
    rows: int,
    *,
    progress: Progress,
    say: Callable[[str], None],
) -> list[Job]:
    """Return a job for each SAE.

    Args:
        saes: SAE folders, files or names, as `load_sae` takes them.
        store: (rows, d_in) activations.
        out: a folder for the tables, each in a folder of the SAE's name there
            (`sae.names.distinct_names`); None: each in its SAE's own folder.
        kind: what the pass makes.
        rows: how many of the first activations are read.
        progress: told of what is fetched.
        say: told what had to be assumed of an SAE, in one line.

    Raises:
        FileNotFoundError: an SAE does not exist, or cannot be fetched.
        ValueError: there are no SAEs; one is not a folder and there is no ``out``; one does not fit
            the activations.
    """
    if not saes:
        raise ValueError("saes: expected one or more, got none")
    activations = {"path": str(store.path), "sha256": store.fingerprint, "rows": store.rows}
    jobs = []
    for name, given in zip(distinct_names(saes), saes, strict=True):
        located = locate(given, progress=renamed(progress, before=f"{name} "))
        file = _place(located, name, out, kind.file)
        stored = load(located.path, **located.settings)
        for what in stored.assumed:
            say(f"{name}: {what}")
        _check_width(name, stored, store)
        facts = {"sae": _facts(located, stored), "activations": activations, "tokens": rows}
        jobs.append(Job(name, stored, file, kind, facts | dict(kind.facts)))
    return jobs


def _place(located: LocatedSAE, name: str, out: StrPath | None, file: str) -> Path:
    """Return where an SAE's table goes."""
    if out is not None:
        return Path(out) / name / file
    if located.name is None and located.path.is_dir():
        return located.path / file
    raise ValueError(
        f"out: expected a folder for the tables, because {located.path} is no folder of an SAE's "
        "own on this machine"
    )


def _facts(located: LocatedSAE, stored: StoredSAE) -> dict[str, Any]:
    file = weight_file(located.path)
    return {
        "path": str(located.path.resolve()),
        **located.facts,
        "file": file.name,
        "sha256": sha256(file),
        "config": json.loads(json.dumps(asdict(stored.config))),  # as it comes back from the file
    }


def _check_width(name: str, stored: StoredSAE, store: ActivationStore) -> None:
    if stored.config.d_in != store.d_in:
        raise ValueError(
            f"{name} reads activations of width {stored.config.d_in:,}, but those of {store.path} "
            f"have width {store.d_in:,}"
        )
