"""Short runs of what a sweep does at length, to learn widths, seconds and memory."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ..common.memory import PeakMemory
from ..sae import SAE
from ..sae.activations import ActivationStore, HarvestConfig, StoredBatches, harvest
from ..sae.activations.writer import StoreWriter
from ..sae.training import Job, train_many

_STEPS = 3


class HarvestProbe(NamedTuple):
    """What a short harvest showed."""

    widths: dict[str, int]
    """By hookpoint."""
    itemsize: int
    """Bytes of a number of the store."""
    seconds_per_token: float


class TrainProbe(NamedTuple):
    """What some steps of training showed."""

    seconds_per_step: float
    memory: int
    """Bytes, at most."""


class _Clock:
    """Takes the time between a phase's first and last report."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self.times: list[tuple[int, float]] = []

    def __call__(self, phase: str, done: int, *_: object, **__: object) -> None:
        if phase == self._phase:
            self.times.append((done, time.perf_counter()))

    def seconds_each(self) -> float:
        """Return the seconds of one unit, without those of the first report but one."""
        (first, begin), (last, end) = self.times[min(1, len(self.times) - 2)], self.times[-1]
        return (end - begin) / max(1, last - first)


def probe_harvest(config: HarvestConfig) -> HarvestProbe:
    """Harvest four batches of sequences into a folder that is then deleted.

    Raises:
        As `harvest`.
    """
    batch = config.sequences * config.context
    short = replace(config, tokens=min(config.tokens, 4 * batch), shard_rows=batch)
    clock = _Clock("harvest")
    with tempfile.TemporaryDirectory(prefix="twinsae-") as folder:
        stores = harvest(short, folder, progress=clock)
        widths = {name: store.d_in for name, store in stores.items()}
        (dtype,) = {store.dtype for store in stores.values()}
    return HarvestProbe(widths, dtype.itemsize, clock.seconds_each())


def probe_training(jobs: Sequence[Job]) -> TrainProbe:
    """Train some SAEs for three steps on random activations.

    A step's cost hardly depends on the numbers, except where the number of active latents does:
    SAEs without k begin with half of their latents active, and become faster.

    Args:
        jobs: as `train_many` takes them.

    Raises:
        ValueError: as `train_many`.
    """
    rows = jobs[0].config.batch_size * _STEPS
    clock = _Clock("train")
    with tempfile.TemporaryDirectory(prefix="twinsae-") as folder:
        widths = {job.hookpoint: job.sae.d_in for job in jobs}
        stores = {
            name: _random_store(Path(folder) / "stores" / name, rows, d_in)
            for name, d_in in widths.items()
        }
        short = [
            job._replace(config=replace(job.config, epochs=1, save_every=_STEPS)) for job in jobs
        ]
        with PeakMemory() as memory:
            train_many(StoredBatches(stores), Path(folder) / "run", short, progress=clock)
    return TrainProbe(clock.seconds_each(), memory.peak_bytes)


def _random_store(folder: Path, rows: int, d_in: int) -> ActivationStore:
    writer = StoreWriter(folder, {})
    writer.add(0, torch.randn(rows, d_in))
    return writer.finish()


@torch.no_grad()
def probe_encoding(job: Job) -> float:
    """Return the seconds that an SAE of this shape needs to encode a token."""
    sae = SAE(job.sae, seed=0)
    x = torch.randn(2048, job.sae.d_in)
    sae.encode(x[:256])  # warm
    start = time.perf_counter()
    sae.encode(x)
    return (time.perf_counter() - start) / len(x)
