"""SAEs that are counted in one pass over activations, and the files that keep what was counted."""

import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.files import atomic_write
from ...common.progress import Progress
from ...common.tables import table_facts
from ..activations import ActivationStore
from ..formats.stored import StoredSAE
from ..model import SAE
from .sums import FiringSums
from .table import FORMAT

_BATCH = 2048
_PART = ".part.npz"  # the sums of a pass that has not ended


@dataclass(frozen=True)
class Job:
    """One SAE to count."""

    name: str
    stored: StoredSAE
    file: Path
    """Its table's place."""
    facts: Mapping[str, Any]
    """What the table's description says: sae, activations, tokens."""

    def is_done(self) -> bool:
        """Return whether the table is there already."""
        try:
            return self.fits(table_facts(self.file, FORMAT))
        except (FileNotFoundError, ValueError):
            return False

    def fits(self, facts: Mapping[str, Any]) -> bool:
        """Return whether other facts are of the same SAE and activations, wherever these lie."""
        return _identity(facts) == _identity(self.facts)


def _identity(facts: Mapping[str, Any]) -> object:
    sae = facts["sae"]
    return sae["sha256"], sae["config"], facts["activations"]["sha256"], facts["tokens"]


class _Pass:
    """The sums of one SAE, while they grow."""

    def __init__(self, job: Job) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._sae = SAE.from_stored(job.stored).to(device, torch.float32)
        self._job = job
        self._part = job.file.with_suffix(_PART)
        self._sums = FiringSums(job.stored.config.num_latents)

    @property
    def tokens(self) -> int:
        """How many tokens were counted."""
        return self._sums.tokens

    def resume(self) -> None:
        """Take the sums of an earlier call, if they are of the same SAE and activations."""
        try:
            with np.load(self._part, allow_pickle=False) as state:
                if self._job.fits(json.loads(str(state["facts"]))):
                    self._sums.restore({name: state[name] for name in state if name != "facts"})
        except FileNotFoundError:
            return
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self._part} is corrupt ({error}): delete it to begin anew"
            ) from error

    def add(self, x: Tensor, first: int) -> None:
        """Count activations (n, D), of which the first is row ``first``, except for those known."""
        rest = x[max(self.tokens - first, 0) :]
        if not len(rest):
            return
        with torch.no_grad():
            top = self._sae.encode(rest.to(self._sae.b_dec.device))
        try:
            self._sums.add(top.values, top.indices)
        except ValueError as error:
            raise ValueError(f"{self._job.name}: {error}") from error

    def save(self) -> None:
        """Keep the sums, for a call that goes on from here."""
        facts = json.dumps(self._job.facts)
        content: dict[str, Any] = {"facts": np.array(facts), **self._sums.state()}
        self._part.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._part) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **content)

    def finish(self) -> None:
        """Write the table."""
        versions = {name: version(name) for name in ("twinsae", "numpy", "torch")}
        self._sums.result().save(self._job.file, {**self._job.facts, "versions": versions})
        self._part.unlink()


def run(
    jobs: Sequence[Job],
    store: ActivationStore,
    rows: int,
    *,
    save_seconds: float,
    progress: Progress,
) -> None:
    """Count the first ``rows`` activations for all jobs, and write their tables.

    Args:
        jobs: all of the store's width.
        store: at least ``rows`` activations.
        rows: the tokens to count.
        save_seconds: the sums are saved every so often.
        progress: told of the phase "fire", in tokens.

    Raises:
        ValueError: saved sums are corrupt; an activation or a value is NaN or infinite.
        OSError: a file could not be written.
    """
    passes = [_Pass(job) for job in jobs]
    for each in passes:
        each.resume()
        each.save()  # a folder that cannot be written to is told before the work
    done = min((each.tokens for each in passes), default=rows)
    progress("fire", done, rows, "tokens")
    saved = time.monotonic()
    while done < rows:
        x = store.gather(np.arange(done, min(done + _BATCH, rows)))
        for each in passes:
            each.add(x, done)
        done += len(x)
        if time.monotonic() - saved >= save_seconds:
            for each in passes:
                each.save()
            saved = time.monotonic()
        progress("fire", done, rows, "tokens")
    for each in passes:
        each.finish()
