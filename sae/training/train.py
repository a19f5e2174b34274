"""Training of several SAEs on one stream of activations.

All see the same batches in the same order, and those of equal shape share one scan per step; each
has its own optimiser, files and checkpoint, and becomes bit for bit what it becomes when trained
alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...common.devices import check_device
from ...common.files import StrPath
from ...common.progress import Progress, silent
from ..activations import ActivationStore, BatchSource, StoredBatches
from ..config import SAEConfig
from ..model import SAE
from ..train_config import TrainConfig
from .data_parallel import check_data_parallel
from .held_out import HeldOut
from .jobs import Job, check_jobs, jobs_of
from .log import OnLog
from .ranks import Ranks
from .start import Start
from .trainer import Trainer


def train(
    activations: ActivationStore,
    run: StrPath,
    hookpoint: str,
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    start: Start | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    on_log: OnLog | None = None,
) -> list[SAE]:
    """Train one SAE per seed, or continue where an earlier call was stopped.

    Writes ``run/<hookpoint>/seed<N>/`` with ``cfg.json``, ``sae.safetensors``,
    ``checkpoint.safetensors`` (every ``config.save_every`` steps and at the end) and, at the end,
    ``latents.safetensors`` (``fired``: tokens of the last epoch on which each latent was active);
    and ``run/log.jsonl``, one line per logged step and seed: step, tokens, sae (its folder),
    hookpoint, seed, fvu and l0 (of that step's batch, before its update), dead (latents silent for
    ``config.dead_after`` tokens), lr; the loss's other terms by name, such as l1_loss or auxk_loss,
    as they are added to the FVU; sparsity, the penalty's weight; and dense_share, the share of the
    steps so far that took plain products because many latents were active.

    A seed that has a checkpoint continues from it, to the same bits as if it had never stopped, and
    seeds may be added to a finished run. ``config.save_every``, ``config.log_every`` and
    ``config.device`` may change in between, other settings not; another device rounds otherwise.

    Args:
        activations: (rows, d_in) activations.
        run: folder of the run; made if need be.
        hookpoint: where the activations come from, such as "layers.15.mlp"; names a folder.
        sae_config: the SAEs' shape, the same for all seeds.
        config: how to train.
        start: the SAE that the one seed begins with, biases included, in place of random weights;
            ``cfg.json`` and the checkpoint say which it was.
        progress: told of every step, with ``tokens`` so far, and ``fvu`` and ``dead``, means over
            the seeds.
        stop: as for `train_many`.
        on_log: as for `train_many`.

    Returns:
        The SAEs, in the order of ``config.seeds``, on ``config.device``.

    Raises:
        ValueError, StoppedError: as for `train_many`.
        OSError: a file could not be written; the previous checkpoint still stands.
    """
    if hookpoint in ("", "..") or hookpoint != Path(hookpoint).name:
        raise ValueError(f"hookpoint: {hookpoint!r} cannot name a folder")
    jobs = jobs_of(hookpoint, sae_config, config)
    source = StoredBatches({hookpoint: activations})
    return train_many(source, run, jobs, start=start, progress=progress, stop=stop, on_log=on_log)


def train_many(
    source: BatchSource,
    run: StrPath,
    jobs: Sequence[Job],
    *,
    start: Start | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    on_log: OnLog | None = None,
    held_out: HeldOut | None = None,
    ranks: Ranks | None = None,
    data_parallel: bool = False,
) -> list[SAE]:
    """Train SAEs of several seeds, sizes and architectures at once, or continue.

    Each job's files are those that `train` writes, in ``run/<job.folder>/``. Jobs may be added to a
    finished run, or left out of it, without any effect on the others.

    Args:
        source: the activations of all hookpoints that the jobs name: stores, or a stream.
        run: folder of the run; made if need be.
        jobs: what to train; the settings of the stream (batch_size, epochs, shuffle_seed,
            save_every, log_every, device) are the same in all.
        start: the SAE that the one job begins with.
        progress: told of every step, with ``tokens`` so far, and ``fvu`` and ``dead``, means over
            the SAEs.
        stop: asked after each step except the last; True ends training. The same call goes on
            later, to the same bits.
        on_log: told the records of each logged step, and why an SAE failed; see `OnLog`.
        held_out: activations to measure the SAEs on now and then; the log's lines of these steps
            have held_out_fvu, held_out_fvu_without_outliers, held_out_l0 and held_out_dead, too.
        ranks: the processes of the run, of `open_ranks`, each of which trains its share of the
            jobs, to the same bits as a single one. They call this alike, with a ``source`` of
            `share_batches`, and share the folder of the run.
        data_parallel: all processes train each SAE together, each on its share of every batch,
            with Adam's moments divided among them. Sums are rounded otherwise than in one process.

    Returns:
        The SAEs that this process trained, in the order of ``jobs``, on their device; with
        ``data_parallel`` all.

    Raises:
        ValueError: settings do not fit one another or the activations, a checkpoint is corrupt or
            belongs to other settings, activations are NaN, infinite or all equal (the message gives
            the step and row); or an SAE diverged: the others are then trained to the end first, and
            its last checkpoint stands. What was saved before is untouched.
        StoppedError: ``stop`` returned True, in any process; each SAE was saved at its step.
        LostProcessError: another process ended; the SAEs of this one were saved at their step.
        OSError: a file could not be written; the previous checkpoint still stands.
    """
    for job in jobs:
        check_device(job.config.device)
    check_jobs(jobs, source.widths, source.tokens)
    if start is not None:
        _check_start(start, jobs)
    if held_out is not None:
        held_out.check(jobs)
    ranks = ranks or Ranks()
    if data_parallel:
        check_data_parallel(jobs, ranks.world)
    elif len(jobs) < ranks.world:
        raise ValueError(
            f"data_parallel: {ranks.world} processes, but {len(jobs)} SAEs at a time, which one "
            "process each trains: start fewer, or let all train each SAE together"
        )
    trainer = Trainer(source, Path(run), jobs, start, held_out, ranks, data_parallel)
    trainer.run(progress or silent, stop or (lambda: False), on_log or (lambda _: None))
    return [learner.result() for learner in trainer.learners]


_OF_START = (
    "d_in", "num_latents", "activation", "normalize_decoder", "transcode", "skip_connection",
    "d_out",
)  # fmt: skip


def _check_start(start: Start, jobs: Sequence[Job]) -> None:
    if len(jobs) > 1:
        seeds = tuple(job.seed for job in jobs)
        raise ValueError(f"seeds: {seeds} would become equal SAEs from one start: give one seed")
    for name in _OF_START:
        found, expected = getattr(start.config, name), getattr(jobs[0].sae, name)
        if found != expected:
            raise ValueError(f"start: its {name} is {found}, but sae_config asks for {expected}")
