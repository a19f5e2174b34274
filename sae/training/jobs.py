"""What is to be trained: one job an SAE, and what the jobs of one run must agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ..config import SAEConfig
from ..train_config import TrainConfig

_SHARED = ("batch_size", "epochs", "shuffle_seed", "save_every", "log_every", "device")
"""The settings of the stream, the same for all jobs of a run."""
# What may change from one call to the next without changing what an SAE becomes.
_NOT_COMPARED = ("seeds", "expansion_factor", "save_every", "log_every", "device")


class Job(NamedTuple):
    """One SAE to train."""

    hookpoint: str
    """Where the activations come from that its encoder reads."""
    sae: SAEConfig
    config: TrainConfig
    """Its ``seeds`` are of no meaning here."""
    seed: int
    folder: str
    """Where its files go, below the run's folder, such as "layers.15.mlp/seed0"."""
    target: str = ""
    """Where those activations come from that it reconstructs, for a transcoder; "": those that its
    encoder reads."""

    @property
    def hookpoints(self) -> list[str]:
        """Where its activations come from: one place, or a transcoder's two."""
        return [self.hookpoint, self.target] if self.target else [self.hookpoint]

    @property
    def settings(self) -> dict[str, Any]:
        """All that its weights depend on, except for activations and start, as JSON values."""
        settings = {**asdict(self.sae), **asdict(self.config), "target": self.target}
        return {name: _plain(settings[name]) for name in settings if name not in _NOT_COMPARED}


def jobs_of(hookpoint: str, sae_config: SAEConfig, config: TrainConfig) -> list[Job]:
    """Return one job for each seed."""
    return [
        Job(hookpoint, sae_config, config, seed, f"{hookpoint}/seed{seed}") for seed in config.seeds
    ]


def check_jobs(jobs: Sequence[Job], widths: Mapping[str, int], rows: int) -> None:
    """Raise unless all jobs can be trained on one stream of activations.

    Args:
        jobs: at least one.
        widths: of the activations, by hookpoint.
        rows: how many activations there are.

    Raises:
        ValueError: the message names a setting, what was expected and what came.
    """
    if not jobs:
        raise ValueError("jobs: at least one is needed")
    folders = [job.folder for job in jobs]
    for job in jobs:
        _check_folder(job)
        if folders.count(job.folder) > 1:
            raise ValueError(f"jobs: two have the folder {job.folder!r}")
        for name in _SHARED:
            mine, others = getattr(job.config, name), getattr(jobs[0].config, name)
            if mine != others:
                raise ValueError(f"{name}: {mine!r} and {others!r} in one run; it must be the same")
        _check_sae(job, widths)
    batch = jobs[0].config.batch_size
    if batch > rows:
        raise ValueError(f"batch_size: {batch:,} is more than the {rows:,} activations")


def _check_folder(job: Job) -> None:
    path = PurePosixPath(job.folder)
    if path.is_absolute() or not path.name or ".." in path.parts:
        raise ValueError(f"hookpoint: {job.hookpoint!r} cannot name a folder")


def _check_sae(job: Job, widths: Mapping[str, int]) -> None:
    sae = job.sae
    if not sae.trainable:
        raise ValueError(f"sae_config: an SAE like this cannot be trained: {sae}")
    if job.target and not sae.transcode:
        raise ValueError(f"target: {job.target!r} is for a transcoder, with transcode = True")
    if job.target and (sae.normalize_decoder or job.config.input_scale != "none"):
        raise ValueError(
            "normalize_decoder, input_scale: a transcoder begins without its decoder and takes "
            "activations as they are: expected False and 'none'"
        )
    if sae.skip_connection and not job.target:
        raise ValueError("skip_connection: only transcoders are trained with one")
    ends = (job.hookpoint, sae.d_in), (job.target or job.hookpoint, sae.out_width)
    for hookpoint, expected in ends:
        if hookpoint not in widths:
            raise ValueError(
                f"hookpoint: no activations of {hookpoint!r}, only {', '.join(widths)}"
            )
        if widths[hookpoint] != expected:
            raise ValueError(
                f"d_in: the SAE expects activations of width {expected}, "
                f"these have {widths[hookpoint]}"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
