"""The loop over the batches: each step of each SAE, what is logged and what is saved."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from ...common.progress import Progress
from ...kernels.grads import LatentGrads
from ..activations import BatchSource
from ..formats import native
from ..formats.dictionary import LATENTS
from ..formats.tensors import save_tensors
from ..loss import total_variance
from ..model import SAE
from .architectures import Chosen
from .checkpoint import CHECKPOINT, Settings, load_checkpoint, save_checkpoint
from .device import Batch, batches_on
from .gradients import empty_gradients
from .held_out import HeldOut
from .initial import begin, record_similarity, scale_of
from .jobs import Job
from .learner import Learner, StepFacts
from .log import LOG, LogWriter, OnLog, Record
from .stack import EncoderStack
from .start import Start


class StoppedError(Exception):
    """Training was asked to stop before its last step; every SAE is saved at this one."""

    def __init__(self, step: int, total: int) -> None:
        super().__init__(f"training was stopped at step {step:,} of {total:,}, and saved")
        self.step = step
        self.total = total


class Trainer:
    """Trains the SAEs of several jobs; see `train_many`."""

    def __init__(
        self,
        source: BatchSource,
        run: Path,
        jobs: Sequence[Job],
        start: Start | None,
        held_out: HeldOut | None,
    ) -> None:
        self.held_out = held_out
        self.source = source
        self.run_folder = run
        self.start = start
        self.config = jobs[0].config  # whose settings of the stream are all jobs'
        self.steps_per_epoch = source.steps_per_epoch(self.config.batch_size)
        self.total = self.steps_per_epoch * self.config.epochs
        self.learners = [self._open(job) for job in jobs]
        self.memory: dict[tuple[int, ...], LatentGrads] = {}
        run.mkdir(parents=True, exist_ok=True)
        self.log = LogWriter(run / LOG)
        self.log.rewind({learner.job.folder: learner.step for learner in self.learners})

    def run(self, progress: Progress, stop: Callable[[], bool], on_log: OnLog) -> None:
        """Train from the least advanced SAE's step on; the others join at theirs.

        Raises:
            ValueError: one or more SAEs diverged; the others were trained to the end.
            StoppedError: ``stop`` returned True.
        """
        start = min(learner.step for learner in self.learners)
        progress("train", start, self.total, "steps")
        stacks: list[_Stack] = []
        stacked: list[Learner] = []
        for step, batch in zip(range(start, self.total), self._batches(start), strict=True):
            active = [each for each in self.learners if each.step == step and not each.failure]
            if not active:
                break
            if step == 0:
                self._begin(active, batch)
            if active != stacked:
                _release(stacks)
                stacks, stacked = _stacks(active), active
            facts = self._step(batch, step, stacks)
            done = step + 1
            self._log(done, facts, on_log)
            stopped = done < self.total and stop()
            if done % self.config.save_every == 0 or done == self.total or stopped:
                for learner in facts:
                    self._save(learner)
            tokens = done * self.config.batch_size
            progress("train", done, self.total, "steps", tokens=tokens, **_means(facts.values()))
            if stopped:
                raise StoppedError(done, self.total)
        _release(stacks)
        failures = [learner.failure for learner in self.learners if learner.failure]
        if failures:
            raise ValueError("\n".join(failures))

    def _batches(self, start: int) -> Iterator[Batch]:
        batches = self.source.batches(
            self.config.batch_size,
            shuffle_seed=self.config.shuffle_seed,
            start_step=start,
            epochs=self.config.epochs,
        )
        return batches_on(self.config.device, batches)

    def _begin(self, learners: Sequence[Learner], batch: Batch) -> None:
        inputs = _Inputs(batch, 0)
        for learner in learners:
            for hookpoint in learner.job.hookpoints:
                inputs.variance(hookpoint, 1.0)  # refuses what cannot be trained on
        for learner in learners:
            x = batch[learner.job.hookpoint]
            learner.scale = scale_of(learner, x)
            if self.start is None:
                target = batch[learner.job.target or learner.job.hookpoint]
                begin(learner, x * learner.scale, target * learner.scale)
            learner.refresh()
        record_similarity(self.run_folder, learners)

    def _step(
        self, batch: Batch, step: int, stacks: "Sequence[_Stack]"
    ) -> dict[Learner, StepFacts]:
        inputs = _Inputs(batch, step)
        facts = {}
        for stack in stacks:
            first = stack.learners[0]
            precision = getattr(torch, first.job.config.precision)
            x = inputs.scaled(first.job.hookpoint, first.scale, precision)
            for learner, stacked in zip(stack.learners, stack.encode(x), strict=True):
                target = learner.job.target or learner.job.hookpoint
                fact = learner.update(
                    x,
                    inputs.scaled(target, learner.scale, precision),
                    inputs.variance(target, learner.scale),
                    stacked,
                    count_fired=step >= self.total - self.steps_per_epoch,
                    memory=self._memory_of(learner),
                )
                if fact is not None:
                    facts[learner] = fact
        return facts

    def _memory_of(self, learner: Learner) -> LatentGrads | None:
        """Return memory for gradients that must be written, one for all SAEs of a shape."""
        if not learner.optimizer.writes_gradients:
            return None
        sae = learner.sae
        shape = (*sae.encoder.weight.shape, sae.config.out_width)
        if shape not in self.memory:
            self.memory[shape] = empty_gradients(sae)
        return self.memory[shape]

    def _log(self, done: int, facts: Mapping[Learner, StepFacts], on_log: OnLog) -> None:
        records = []
        measured = {}
        if self.held_out is not None and self.held_out.due(done, self.total):
            measured = self.held_out.measure([*facts])
        if done % self.config.log_every == 0 or done in (1, self.total) or measured:
            records = [
                self._record(done, each, facts[each]) | measured.get(each.job.folder, {})
                for each in self.learners
                if each in facts
            ]
            self.log.append(records)
        failed = [each for each in self.learners if each.failure and each.step == done - 1]
        told = [{"step": done, "sae": each.job.folder, "failure": each.failure} for each in failed]
        if records or told:
            on_log([*records, *told])

    def _record(self, done: int, learner: Learner, fact: StepFacts) -> Record:
        record = {
            "step": done,
            "tokens": done * self.config.batch_size,
            "sae": learner.job.folder,
            "hookpoint": learner.job.hookpoint,
            "seed": learner.job.seed,
            "fvu": fact.fvu.item(),
            "l0": fact.l0.item(),
            "dead": int(fact.dead.item()),
            "lr": fact.lr,
        }
        if fact.sparsity:
            record["sparsity"] = fact.sparsity
        if "dense_steps" in learner.architecture.state:
            record["dense_share"] = learner.architecture.state["dense_steps"] / done
        return record | {name: part.item() for name, part in fact.parts.items()}

    def _open(self, job: Job) -> Learner:
        path = self.run_folder / job.folder / CHECKPOINT
        sae = SAE(job.sae, seed=job.seed).to(job.config.device)
        learner = Learner(job, sae, self.total)
        if path.exists():
            load_checkpoint(path, learner, self._settings(learner))
        elif self.start is not None:
            self.start.copy_to(sae)
        return learner

    def _save(self, learner: Learner) -> None:
        folder = self.run_folder / learner.job.folder
        native.save(learner.result().stored(), folder, start=self.start and self.start.facts)
        if learner.step == self.total:
            save_tensors(folder / LATENTS, {"fired": learner.fired})
        # Last: with it, and not before, the seed counts as having come this far.
        save_checkpoint(learner, folder / CHECKPOINT, self._settings(learner))

    def _settings(self, learner: Learner) -> Settings:
        return learner.job.settings | {
            "lr": learner.schedule.peak,
            "activations": " ".join(map(self.source.fingerprint_of, learner.job.hookpoints)),
            "start": self.start and self.start.facts["sha256"],
        }


@dataclass(frozen=True, eq=False)
class _Stack:
    """SAEs that are encoded together, or one that scans by itself."""

    learners: list[Learner]
    encoders: EncoderStack | None

    def encode(self, x: Tensor) -> list[Chosen | None]:
        if self.encoders is None:
            return [None]
        return [*self.encoders.encode(x, self.learners[0].architecture.stacked_k)]


def _stacks(learners: Sequence[Learner]) -> list[_Stack]:
    alike: dict[object, list[Learner]] = {}
    for learner in learners:
        k, sae = learner.architecture.stacked_k, learner.job.sae
        alike_by = (learner.job.hookpoint, learner.scale, learner.job.config.precision)
        key = (*alike_by, k, sae.num_latents) if k else learner
        alike.setdefault(key, []).append(learner)
    return [
        _Stack(
            each, EncoderStack([learner.model for learner in each]) if key is not each[0] else None
        )
        for key, each in alike.items()
    ]


def _release(stacks: Sequence[_Stack]) -> None:
    for stack in stacks:
        if stack.encoders is not None:
            stack.encoders.release()


class _Inputs:
    """The batch as the SAEs take it, made once for those that take the same."""

    def __init__(self, batch: Batch, step: int) -> None:
        self._batch = batch
        self._step = step
        self._scaled: dict[tuple[str, float, torch.dtype], Tensor] = {}
        self._variances: dict[tuple[str, float], Tensor] = {}

    def scaled(
        self, hookpoint: str, scale: float, precision: torch.dtype = torch.float32
    ) -> Tensor:
        key = hookpoint, scale, precision
        if key not in self._scaled:
            x = self._batch[hookpoint]
            self._scaled[key] = (x if scale == 1 else x * scale).to(precision)
        return self._scaled[key]

    def variance(self, hookpoint: str, scale: float) -> Tensor:
        """Return the `total_variance`; raise ValueError if it cannot be used."""
        key = hookpoint, scale
        if key not in self._variances:
            variance = total_variance(self.scaled(hookpoint, scale))
            if not 0 < variance < torch.inf:
                raise _unusable(self._batch[hookpoint], self._step)
            self._variances[key] = variance
        return self._variances[key]


def _means(facts: Collection[StepFacts]) -> dict[str, float]:
    """Return what is shown of a step: means over the SAEs."""
    if not facts:
        return {}
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
