"""Training of several seeds on one stream of activations.

All seeds see the same batches in the same order and share one encoder product per step; each has
its own optimiser, files and checkpoint, and becomes bit for bit what it becomes when trained alone.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from ...common.files import StrPath
from ...common.progress import Progress, silent
from ..activations.store import ActivationStore
from ..config import SAEConfig, TrainConfig
from ..formats import native
from ..formats.dictionary import LATENTS
from ..formats.tensors import save_tensors
from ..loss import total_variance
from ..model import SAE
from .checkpoint import CHECKPOINT, Settings, load_checkpoint, save_checkpoint
from .device import batches_on, check_device
from .gradients import gradient_memory
from .learner import Learner, Schedule, StepFacts
from .log import LOG, LogWriter
from .stack import EncoderStack
from .start import Start

# What every trained SAE has in common, and what may change from one call to the next.
_NOT_COMPARED = (
    "activation", "transcode", "skip_connection", "normalization",
    "seeds", "expansion_factor", "save_every", "log_every", "device",
)  # fmt: skip


def train(
    activations: ActivationStore,
    run: StrPath,
    hookpoint: str,
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    start: Start | None = None,
    progress: Progress | None = None,
) -> list[SAE]:
    """Train one SAE per seed, or continue where an earlier call was stopped.

    Writes ``run/<hookpoint>/seed<N>/`` with ``cfg.json``, ``sae.safetensors``,
    ``checkpoint.safetensors`` (every ``config.save_every`` steps and at the end) and, at the end,
    ``latents.safetensors`` (``fired``: tokens of the last epoch on which each latent was active);
    and ``run/log.jsonl``, one line per logged step and seed: step, tokens, hookpoint, seed, fvu and
    l0 (of that step's batch, before its update), dead (latents silent for ``config.dead_after``
    tokens), lr.

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
        progress: told of every step, with ``fvu`` and ``dead``, means over the seeds.

    Returns:
        The SAEs, in the order of ``config.seeds``, on ``config.device``.

    Raises:
        ValueError: settings do not fit the activations, a checkpoint is corrupt or belongs to other
            settings, activations are NaN, infinite or all equal (the message gives the step and
            row), or a seed diverges. What was saved before is untouched.
        OSError: a file could not be written; the previous checkpoint still stands.
    """
    check_device(config.device)
    _check_fit(activations, hookpoint, sae_config, config)
    if start is not None:
        _check_start(start, sae_config, config)
    trainer = _Trainer(activations, Path(run), hookpoint, sae_config, config, start)
    trainer.run(progress or silent)
    return [learner.sae for learner in trainer.learners]


class _Trainer:
    def __init__(
        self,
        activations: ActivationStore,
        run: Path,
        hookpoint: str,
        sae_config: SAEConfig,
        config: TrainConfig,
        start: Start | None,
    ) -> None:
        self.activations = activations
        self.start = start
        self.hookpoint = hookpoint
        self.config = config
        self.folder = run / hookpoint
        self.steps_per_epoch = activations.steps_per_epoch(config.batch_size)
        self.total = self.steps_per_epoch * config.epochs
        self.schedule = Schedule(config, sae_config.num_latents, self.total)
        self.settings = self._settings(sae_config)
        self.learners = [self._open(sae_config, seed) for seed in config.seeds]
        self.gradients = gradient_memory(self.learners[0].sae)  # of one seed after another
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = LogWriter(run / LOG, hookpoint)
        self.log.rewind({learner.seed: learner.step for learner in self.learners})

    def run(self, progress: Progress) -> None:
        """Train from the least advanced seed's step on; the others join at theirs."""
        start = min(learner.step for learner in self.learners)
        progress("train", start, self.total, "steps")
        active: list[Learner] = []
        for step, x in zip(range(start, self.total), self._batches(start), strict=True):
            ready = [learner for learner in self.learners if learner.step == step]
            if len(ready) > len(active):
                active, stack = ready, EncoderStack([learner.sae for learner in ready])
            facts = self._step(x, step, active, stack)
            done = step + 1
            if done % self.config.log_every == 0 or done in (1, self.total):
                self._log(done, active, facts)
            if done % self.config.save_every == 0 or done == self.total:
                for learner in active:
                    self._save(learner)
            progress("train", done, self.total, "steps", **_means(facts))
        if active:
            stack.release()

    def _batches(self, start: int) -> Iterator[Tensor]:
        batches = self.activations.batches(
            self.config.batch_size,
            shuffle_seed=self.config.shuffle_seed,
            start_step=start,
            epochs=self.config.epochs,
        )
        return batches_on(self.config.device, batches)

    def _step(
        self, x: Tensor, step: int, active: list[Learner], stack: EncoderStack
    ) -> list[StepFacts]:
        variance = total_variance(x)
        if not 0 < variance < torch.inf:
            raise _unusable(x, step)
        if step == 0 and self.start is None:
            mean = x.mean(dim=0)
            for learner in active:
                learner.sae.b_dec.data.copy_(mean)
        return [
            learner.update(
                x,
                values,
                indices,
                variance,
                lr=self.schedule.lr(step),
                dead_after=self.config.dead_after,
                count_fired=step >= self.total - self.steps_per_epoch,
                memory=self.gradients,
            )
            for learner, (values, indices) in zip(active, stack.encode(x), strict=True)
        ]

    def _log(self, done: int, active: list[Learner], facts: list[StepFacts]) -> None:
        records = [
            {
                "step": done,
                "tokens": done * self.config.batch_size,
                "hookpoint": self.hookpoint,
                "seed": learner.seed,
                "fvu": fact.fvu.item(),
                "l0": fact.l0.item(),
                "dead": int(fact.dead.item()),
                "lr": fact.lr,
            }
            for learner, fact in zip(active, facts, strict=True)
        ]
        self.log.append(records)

    def _open(self, sae_config: SAEConfig, seed: int) -> Learner:
        path = self.folder / f"seed{seed}" / CHECKPOINT
        sae = SAE(sae_config, seed=seed).to(self.config.device)
        if path.exists():
            return load_checkpoint(path, sae, seed, self.settings)
        if self.start is not None:
            self.start.copy_to(sae)
        return Learner(sae, seed)

    def _save(self, learner: Learner) -> None:
        folder = self.folder / f"seed{learner.seed}"
        native.save(learner.sae.stored(), folder, start=self.start and self.start.facts)
        if learner.step == self.total:
            save_tensors(folder / LATENTS, {"fired": learner.fired})
        # Last: with it, and not before, the seed counts as having come this far.
        save_checkpoint(learner, folder / CHECKPOINT, self.settings)

    def _settings(self, sae_config: SAEConfig) -> Settings:
        settings: dict[str, Any] = {**asdict(sae_config), **asdict(self.config)}
        for name in _NOT_COMPARED:
            del settings[name]
        settings["lr"] = self.schedule.peak
        settings["activations"] = self.activations.fingerprint
        settings["start"] = self.start and self.start.facts["sha256"]
        return settings


def _check_fit(
    activations: ActivationStore, hookpoint: str, sae_config: SAEConfig, config: TrainConfig
) -> None:
    if hookpoint in ("", "..") or hookpoint != Path(hookpoint).name:
        raise ValueError(f"hookpoint: {hookpoint!r} cannot name a folder")
    if not sae_config.trainable:
        raise ValueError(f"sae_config: only plain TopK SAEs can be trained, not {sae_config}")
    if sae_config.d_in != activations.d_in:
        raise ValueError(
            f"d_in: the SAE expects activations of width {sae_config.d_in}, "
            f"these have {activations.d_in}"
        )
    if config.batch_size > activations.rows:
        raise ValueError(
            f"batch_size: {config.batch_size:,} is more than the {activations.rows:,} activations"
        )


def _check_start(start: Start, sae_config: SAEConfig, config: TrainConfig) -> None:
    if len(config.seeds) > 1:
        raise ValueError(
            f"seeds: {config.seeds} would become equal SAEs from one start: give one seed"
        )
    for name in ("d_in", "num_latents", "normalize_decoder"):
        found, expected = getattr(start.config, name), getattr(sae_config, name)
        if found != expected:
            raise ValueError(f"start: its {name} is {found}, but sae_config asks for {expected}")


def _means(facts: list[StepFacts]) -> dict[str, float]:
    """Return what is shown of a step: means over the seeds."""
    return {
        "fvu": fmean(fact.fvu.item() for fact in facts),
        "dead": fmean(fact.dead.item() for fact in facts),
    }


def _unusable(x: Tensor, step: int) -> ValueError:
    """Say why a batch (N, D), the one of the 0-based ``step``, has no usable variance."""
    where = f"step {step + 1} of training"
    bad = ~torch.isfinite(x).all(dim=1)  # (N,)
    if bad.any():
        row = int(bad.int().argmax())
        value = x[row][~torch.isfinite(x[row])][0].item()
        return ValueError(f"activations: row {row} of the batch of {where} holds {value}")
    if (x == x[0]).all():
        return ValueError(f"activations: the rows of the batch of {where} are all equal")
    return ValueError(f"activations: the variance of the batch of {where} is beyond float32")
