"""The loop over the batches: each step of each SAE, what is logged and what is saved."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch

from ...common.progress import Progress
from ...kernels.grads import LatentGrads
from ..activations import BatchSource
from ..formats import native
from ..formats.dictionary import LATENTS
from ..formats.tensors import save_tensors
from ..model import SAE
from .checkpoint import CHECKPOINT, Settings, load_checkpoint, save_checkpoint
from .data_parallel import SplitLearner, own_tokens
from .device import Batch, batches_on
from .gradients import empty_gradients
from .held_out import HeldOut
from .initial import begin, record_similarity, scale_of
from .inputs import Inputs
from .jobs import Job
from .learner import Learner, StepFacts
from .log import LOG, OnLog, Record, SharedLog
from .ranks import LostProcessError, Ranks
from .stack import Stack, release, stacks_of
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
        ranks: Ranks,
        data_parallel: bool,
    ) -> None:
        self.held_out = held_out
        self.source = source
        self.run_folder = run
        self.jobs = jobs
        self.start = start
        self.ranks = ranks
        self.config = jobs[0].config  # whose settings of the stream are all jobs'
        self.steps_per_epoch = source.steps_per_epoch(self.config.batch_size)
        self.total = self.steps_per_epoch * self.config.epochs
        self.split = data_parallel and ranks.world > 1
        self.rows = own_tokens(ranks, self.config.batch_size) if self.split else slice(None)
        own = jobs if self.split else jobs[ranks.rank :: ranks.world]
        self.learners = [self._open(job) for job in own]
        self.saved = {learner: learner.step for learner in self.learners}
        self.memory: dict[tuple[int, ...], LatentGrads] = {}
        run.mkdir(parents=True, exist_ok=True)
        self.steps: dict[str, int] = {}  # of the SAEs of all processes
        for part in ranks.gather({each.job.folder: each.step for each in self.learners}):
            self.steps |= part
        self.log = SharedLog(run / LOG, ranks, [job.folder for job in jobs])
        self.log.rewind(self.steps)

    def run(self, progress: Progress, stop: Callable[[], bool], on_log: OnLog) -> None:
        """Train from the least advanced SAE's step on; the others join at theirs.

        Raises:
            ValueError: one or more SAEs diverged; the others were trained to the end.
            StoppedError: ``stop`` returned True.
            LostProcessError: another process was lost; the SAEs of this one are saved.
        """
        try:
            self._run(progress, stop, on_log)
        except LostProcessError as error:
            saved = self._rescue()
            raise LostProcessError(f"{error}; {saved}, and the same command goes on") from error
        failures: dict[str, None] = {}  # each once
        for part in self.ranks.gather([each.failure for each in self.learners if each.failure]):
            failures |= dict.fromkeys(part)
        if failures:
            raise ValueError("\n".join(failures))

    def _run(self, progress: Progress, stop: Callable[[], bool], on_log: OnLog) -> None:
        start = min(self.steps.values())
        progress("train", start, self.total, "steps")
        stacks: list[Stack] = []
        stacked: list[Learner] = []
        for step, batch in zip(range(start, self.total), self._batches(start), strict=True):
            active = [each for each in self.learners if each.step == step and not each.failure]
            if step == 0:
                self._begin(active, batch)
            if active != stacked:
                release(stacks)
                stacks, stacked = stacks_of(active), active
            facts = self._step(batch, step, stacks)
            done = step + 1
            self.log.waiting = self._records(done, facts)
            stopped, told, going = self.ranks.any(
                done < self.total and stop(), bool(self.log.waiting), self._is_going_on()
            )
            if told:
                on_log(self.log.write())
            if done % self.config.save_every == 0 or done == self.total or stopped:
                for learner in facts:
                    self._save(learner)
            tokens = done * self.config.batch_size
            progress("train", done, self.total, "steps", tokens=tokens, **_means(facts.values()))
            if stopped:
                raise StoppedError(done, self.total)
            if done < self.total and not going:
                break
        release(stacks)

    def _is_going_on(self) -> bool:
        return any(each.step < self.total and not each.failure for each in self.learners)

    def _rescue(self) -> str:
        """Save what was not saved yet, with its lines in the log, and ask nobody; say what is."""
        if self.split:  # the step may be half done
            return "the last checkpoints stand"
        self.log.rescue()
        for learner, step in self.saved.items():
            if learner.step > step and not learner.failure:
                self._save(learner)
        return "the SAEs of this one are saved"

    def _batches(self, start: int) -> Iterator[Batch]:
        batches = self.source.batches(
            self.config.batch_size,
            shuffle_seed=self.config.shuffle_seed,
            start_step=start,
            epochs=self.config.epochs,
        )
        return batches_on(self.config.device, batches)

    def _begin(self, learners: Sequence[Learner], batch: Batch) -> None:
        inputs = Inputs(batch, 0)
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
        if not self.split:
            record_similarity(self.run_folder, learners, self.jobs, self.ranks)
        elif self.ranks.first:
            record_similarity(self.run_folder, learners, self.jobs, Ranks())

    def _step(self, batch: Batch, step: int, stacks: Sequence[Stack]) -> dict[Learner, StepFacts]:
        inputs = Inputs(batch, step)
        facts = {}
        for stack in stacks:
            first = stack.learners[0]
            precision = getattr(torch, first.job.config.precision)
            x = inputs.scaled(first.job.hookpoint, first.scale, precision)[self.rows]
            for learner, stacked in zip(stack.learners, stack.encode(x), strict=True):
                target = learner.job.target or learner.job.hookpoint
                fact = learner.update(
                    x,
                    inputs.scaled(target, learner.scale, precision)[self.rows],
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

    def _records(self, done: int, facts: Mapping[Learner, StepFacts]) -> list[Record]:
        """Return what the log says of a step, and which SAEs failed at it."""
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
        if self.split and not self.ranks.first:
            return []
        failed = [each for each in self.learners if each.failure and each.step == done - 1]
        told = [{"step": done, "sae": each.job.folder, "failure": each.failure} for each in failed]
        return records + told

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
        learner = (
            SplitLearner(job, sae, self.total, self.ranks)
            if self.split
            else Learner(job, sae, self.total)
        )
        if path.exists():
            load_checkpoint(path, learner, self._settings(learner))
        elif self.start is not None:
            self.start.copy_to(sae)
        return learner

    def _save(self, learner: Learner) -> None:
        if self.split and not self.ranks.first:
            learner.optimizer.tensors()  # which the first one asks for
            return
        folder = self.run_folder / learner.job.folder
        native.save(learner.result().stored(), folder, start=self.start and self.start.facts)
        if learner.step == self.total:
            save_tensors(folder / LATENTS, {"fired": learner.fired})
        # Last: with it, and not before, the seed counts as having come this far.
        save_checkpoint(learner, folder / CHECKPOINT, self._settings(learner))
        self.saved[learner] = learner.step

    def _settings(self, learner: Learner) -> Settings:
        return learner.job.settings | {
            "lr": learner.schedule.peak,
            "activations": " ".join(map(self.source.fingerprint_of, learner.job.hookpoints)),
            "start": self.start and self.start.facts["sha256"],
        }


def _means(facts: Collection[StepFacts]) -> dict[str, float]:
    """Return what is shown of a step: means over the SAEs."""
    if not facts:
        return {}
    return {
        "fvu": fmean(fact.fvu.item() for fact in facts),
        "dead": fmean(fact.dead.item() for fact in facts),
    }
