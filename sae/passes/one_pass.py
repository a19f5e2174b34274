"""SAEs that encode activations in one pass, and the files that keep what was gathered so far."""

import json
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.files import atomic_write
from ...common.progress import Progress
from ..model import SAE
from .jobs import Job

SAVE_SECONDS = 60.0
"""What was gathered is saved every so often."""

_BATCH = 2048
_PART = ".part.npz"  # what a pass that has not ended gathered


class _Pass:
    """What is gathered of one SAE, while it grows."""

    def __init__(self, job: Job) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._sae = SAE.from_stored(job.stored).to(device, torch.float32)
        self._job = job
        self._part = job.file.with_suffix(_PART)
        self._sums = job.kind.begin(job.stored.config.num_latents)

    @property
    def tokens(self) -> int:
        """How many tokens were taken in."""
        return self._sums.tokens

    def resume(self) -> None:
        """Take what an earlier call gathered, if it is of the same SAE and activations."""
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
        """Take in activations (n, D), the first of token ``first``, except for those known."""
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
        """Keep what was gathered, for a call that goes on from here."""
        facts = json.dumps(self._job.facts)
        content: dict[str, Any] = {"facts": np.array(facts), **self._sums.state()}
        self._part.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._part) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **content)

    def finish(self) -> None:
        """Write the table."""
        versions = {name: version(name) for name in ("twinsae", "numpy", "torch")}
        self._sums.save(self._job.file, {**self._job.facts, "versions": versions})
        self._part.unlink(missing_ok=True)  # another process may have done the same work


def run(
    jobs: Sequence[Job],
    read: Callable[[slice], Tensor],
    rows: int,
    *,
    save_seconds: float,
    progress: Progress,
) -> None:
    """Read activations once for all jobs that are not done, and write their tables.

    Args:
        jobs: all of the activations' width and of one kind.
        read: gives the activations (n, D) of some tokens, in the order of the pass.
        rows: the tokens to take in, from 0 on.
        save_seconds: what was gathered is saved every so often.
        progress: told of the kind's phase, in tokens.

    Raises:
        ValueError: a saved state is corrupt; an activation or a value is NaN or infinite.
        OSError: a file could not be written.
    """
    passes = [_Pass(job) for job in jobs if not job.is_done()]
    for each in passes:
        each.resume()
        each.save()  # a folder that cannot be written to is told before the work
    done = min((each.tokens for each in passes), default=rows)
    phase = jobs[0].kind.phase
    progress(phase, done, rows, "tokens")
    saved = time.monotonic()
    while done < rows:
        stop = min(done + _BATCH, rows)
        x = read(slice(done, stop))
        for each in passes:
            each.add(x, done)
        done = stop
        if time.monotonic() - saved >= save_seconds:
            for each in passes:
                each.save()
            saved = time.monotonic()
        progress(phase, done, rows, "tokens")
    for each in passes:
        each.finish()
