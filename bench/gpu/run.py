"""One run: checks, then times, in the order of what they tell, until it is done or out of time."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ...kernels.topk import linear_topk
from ...matching.solver.candidates import Source
from ..inputs import Shape
from ..instances import Planted
from ..machine import PACKAGES, versions
from ..measurement import PRODUCT
from . import matches
from .cases import Setting
from .checks import Job, big_jobs, dtype_name, run_check, said, usual_jobs
from .clock import CpuClock, LostDeviceError
from .gates import GATES, Gate
from .matches import OutOfTimeError
from .ops import Op
from .oracle import WrongError
from .plan import KERNELS, Plan
from .problem import Numbers, Problem, timing_problem
from .results import Results, Timing
from .routes import route_names, tune
from .variants import VARIANTS, Means, Variant, chunked_encode

GPU_PACKAGES = (*PACKAGES, "triton", "faiss-gpu-cu12", "flexsae")
CHECKS_SHARE = 0.35  # of the time, after which large tensors are not checked any more
OP_SECONDS = 4.0  # after which an op is not timed again at one shape
LAST_SECONDS = 15.0  # for the tables and the plot
MATCH_SECONDS = 90.0  # at least, or a match is not begun
SOLVING_SECONDS = 30.0  # that a match may not be heard of

Tell = Callable[[str], None]


class Run:
    """A run in progress; `results` are on disk whenever something is added.

    Args:
        plan: what is done.
        clock: of the device that it is done on.
        file: the JSON file.
        tell: takes a line for each thing done.
    """

    def __init__(self, plan: Plan, clock: CpuClock, file: Path, tell: Tell) -> None:
        self.plan = plan
        self.clock = clock
        self.file = file
        self.tell = tell
        self.results = Results(_header(plan, clock))
        self._started = time.monotonic()
        self._refused: dict[tuple[str, torch.dtype], str] = {}

    def go(self) -> Results:
        """Do all that the plan says and that the time allows."""
        try:
            with torch.no_grad():
                self._go()
            self.results.finished = True
        except LostDeviceError as lost:
            gone = "the device answers no more; --only measures the rest in another run"
            self._refuse(f"{lost}: {gone}", ours=True)
        finally:
            self.results.save(self.file)
        return self.results

    def _go(self) -> None:
        plan = self.plan
        self._check(self._usual_jobs(), plan.dtype)
        if "match" in plan.ops and plan.dtype != torch.float32:
            pairs = KERNELS["match"]
            jobs = self._usual_jobs()
            self._check((job for job in jobs if job.kernel in pairs), torch.float32)
        self._check_big()
        self._time_square()
        for done, shape in enumerate(plan.shapes):
            if done == plan.match_after:
                self._time_matches()
            self._time_shape(shape, compiled=done < plan.compiled)
        if len(plan.shapes) <= plan.match_after:
            self._time_matches()
        for dtype in plan.other_dtypes:
            if dtype != plan.dtype:
                self._check(self._usual_jobs(), dtype)
        if plan.compiled < len(plan.shapes):
            self._skip(f"torch.compile at all but the first {plan.compiled} shapes: it takes long")

    # Checks

    def _usual_jobs(self) -> Iterator[Job]:
        return usual_jobs(self.plan.odd, self.plan.real, route_names(self.plan.backend))

    def _check(self, jobs: Iterable[Job], dtype: torch.dtype, at_least: float = 0.0) -> None:
        """Run those of some checks that the ops need, while so many seconds are left."""
        needed = {kernel for op in self.plan.ops for kernel in KERNELS[op]}
        setting = Setting(self.clock.device, dtype, self.plan.backend)
        done = {(check.kernel, check.case, check.dtype) for check in self.results.checks}
        for job in jobs:
            if job.kernel not in needed or (job.kernel, job.case, dtype_name(dtype)) in done:
                continue
            if self._left() < at_least:
                self._skip(f"check of {job.kernel}, {job.case}, {dtype_name(dtype)}: out of time")
                continue
            check = run_check(job, setting, self.clock)
            self.results.checks.append(check)
            if check.problem:
                self._refused.setdefault((job.kernel, dtype), check.problem)
                what = f"{check.kernel}, {check.case}, {check.dtype}"
                self._refuse(f"wrong: {what}: {check.problem}", ours=True)
            self.results.save(self.file)
        count = sum(check.dtype == dtype_name(dtype) for check in self.results.checks)
        self.tell(f"{count} checks in {dtype_name(dtype)}; {self._left():.0f} s left")

    def _check_big(self) -> None:
        plan = self.plan
        needed = plan.big_bytes * plan.dtype.itemsize // 2
        free = self.clock.free_bytes()
        if free < needed:
            gib = f"{needed / 2**30:,.0f} GiB free, and {free / 2**30:,.0f} GiB are"
            self._skip(f"checks beyond {plan.big[0]:,} numbers in a tensor: they take {gib}")
            return
        share = (1 - CHECKS_SHARE) * 60 * plan.minutes
        self._check(big_jobs(*plan.big), plan.dtype, at_least=share)

    # Times

    def _time_square(self) -> None:
        size = self.plan.square
        numbers = Numbers(self.plan.dtype, self.clock.device)
        a, b = numbers.normal(size, size), numbers.normal(size, size)
        out = torch.empty_like(a)
        taken = self.clock.samples(
            {"square": lambda: torch.mm(a, b, out=out)}, self.plan.rounds, lambda: False
        )
        self.results.square_flops = 2 * size**3 / median(taken["square"])
        self.tell(f"square product: {self.results.square_flops / 1e12:,.1f} TFLOP/s")

    def _time_shape(self, shape: Shape, compiled: bool) -> None:
        ops = [op for op in self.plan.ops if op != "match"]
        if not self._in_time():
            self._skip(f"{', '.join(ops)} at {_sizes(shape)}: out of time")
            return
        try:
            problem = timing_problem(shape, Numbers(self.plan.dtype, self.clock.device))
            found = chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
            problem = problem.encoded(*found)
            self._tune(problem)
        except Exception as error:
            self._failed(f"inputs at {_sizes(shape)}", error)
            return
        for op in ops:
            if self._in_time():
                self._time_op(op, problem, compiled)
            else:
                self._skip(f"{op} at {_sizes(shape)}: out of time")
            self.clock.release()

    def _tune(self, problem: Problem) -> None:
        """Let our scan take the fastest route for this shape, where it has a choice."""
        plan = self.plan
        refused = ("linear_topk", plan.dtype) in self._refused
        if refused or not route_names(plan.backend) or not {"encode", "step"} & {*plan.ops}:
            return
        x, weight, bias, k = problem.x, problem.W_enc, problem.b_enc, problem.k
        route = tune(lambda: linear_topk(x, weight, bias, k, backend=plan.backend), self.clock)
        self.results.tuned[_sizes(problem.shape)] = route

    def _time_op(self, op: Op, problem: Problem, compiled: bool) -> None:
        what = f"{op} at {_sizes(problem.shape)}"
        if compiled:
            torch.compiler.reset()
        means = Means(self.plan.backend, self.plan.compiler if compiled else None)
        try:
            gate = GATES[op](problem)
            admitted = [
                (variant, *facts)
                for variant in VARIANTS[op](problem, means)
                if (facts := self._admit(what, variant, gate, len(problem.x))) is not None
            ]
            started = time.monotonic()
            taken = self.clock.samples(
                {variant.name: variant.run for variant, *_ in admitted},
                self.plan.rounds,
                lambda: time.monotonic() - started > OP_SECONDS or not self._in_time(),
            )
        except Exception as error:
            self._failed(what, error)
            return
        product = median(taken[PRODUCT]) if PRODUCT in taken else None
        for variant, peak, redone in admitted:
            own = _timing(op, variant.name, problem, taken[variant.name], peak)
            own = replace(own, redone=redone)
            self.results.timings.append(own if product is None else self._with_shares(own, product))
        self.results.save(self.file)
        times = ", ".join(f"{name} {1e3 * median(own):.3g} ms" for name, own in taken.items())
        self.tell(f"{what}: {times}; {self._left():.0f} s left")

    def _admit(
        self, what: str, variant: Variant, gate: Gate, rows: int
    ) -> tuple[int, float | None] | None:
        """Return a variant's peak memory and its share of rows redone; None: it is not timed."""
        if not self._in_time():
            self._skip(f"{what}, {variant.name}: out of time")
            return None
        for kernel in variant.kernels:
            if (kernel, self.plan.dtype) in self._refused:
                self._refuse(f"not timed: {what}, {variant.name}: {kernel} is wrong", ours=True)
                return None
        try:
            found = variant.run()
            self.clock.synchronize()
            if variant.name != PRODUCT:
                gate(variant, found)
            stats = getattr(found, "stats", None)
            redone = None if stats is None else int(stats.rows_redone) / rows
            del found
            return self.clock.peak_bytes(variant.run), redone
        except WrongError as wrong:
            self._refuse(f"not timed: {what}, {variant.name}: {wrong}", bool(variant.kernels))
        except Exception as error:
            self._failed(f"{what}, {variant.name}", error, bool(variant.kernels))
        return None

    def _with_shares(self, timing: Timing, product: float) -> Timing:
        rate = 2 * timing.N * timing.D * timing.L / (timing.ms / 1e3)
        square = self.results.square_flops
        return replace(
            timing,
            of_product=1e3 * product / timing.ms,
            of_square=rate / square if square else None,
        )

    def _time_matches(self) -> None:
        if "match" not in self.plan.ops:
            return
        what = "match of {0:,} x {0:,} latents, D = {1:,}".format(*self.plan.match)
        for kernel in KERNELS["match"]:
            if (kernel, torch.float32) in self._refused:
                self._refuse(f"not timed: {what}: {kernel} is wrong", ours=True)
                return
        if self._left() < min(MATCH_SECONDS, self.plan.minutes * 30):
            self._skip(f"{what}: out of time")
            return
        try:
            made = matches.planted_on(self.clock.device, *self.plan.match)
            variants = matches.match_variants(self.clock.device)
        except Exception as error:
            self._failed(what, error)
            return
        for variant, source in variants.items():
            self._time_match(f"{what}, {variant}", variant, source, made)

    def _time_match(self, what: str, variant: str, source: Source, made: Planted) -> None:
        try:
            found = matches.time_match(
                variant, source, made, self.clock, lambda: self._left() > SOLVING_SECONDS
            )
            self.results.matches.append(found)
            matches.refuse_another_objective(self.results.matches)
            self.tell(f"{what}: {found.seconds:.1f} s; {self._left():.0f} s left")
        except OutOfTimeError:
            self._skip(f"{what}: out of time")
        except WrongError as wrong:
            self._refuse(f"{what}: {wrong}", ours=True)
        except Exception as error:
            self._failed(what, error)
        self.results.save(self.file)
        self.clock.release()

    # What is not timed

    def _failed(self, what: str, error: Exception, ours: bool = True) -> None:
        """Note that something raised.

        Raises:
            LostDeviceError: and the device does not work any more.
        """
        if not self.clock.answers():
            raise LostDeviceError(f"{what}: {said(error)}") from error
        self.clock.release()
        memory = isinstance(error, torch.OutOfMemoryError)
        why = "out of memory" if memory else said(error)
        self._refuse(f"not timed: {what}: {why}", ours and not memory)

    def _refuse(self, line: str, ours: bool) -> None:
        self.results.refused.append(line)
        self.results.wrong |= ours
        self.tell(line)
        self.results.save(self.file)

    def _skip(self, line: str) -> None:
        self.results.skipped.append(line)
        self.results.save(self.file)

    def _left(self) -> float:
        """Return the seconds that may still be spent."""
        return self._started + 60 * self.plan.minutes - LAST_SECONDS - time.monotonic()

    def _in_time(self) -> bool:
        return self._left() > 0


def _timing(
    op: str, variant: str, problem: Problem, seconds: list[float], peak_bytes: int
) -> Timing:
    p20, middle, p80 = (1e3 * float(p) for p in np.percentile(seconds, (20, 50, 80)))
    rows, d_in, latents, k = problem.shape
    return Timing(
        op, variant, rows, d_in, latents, k, middle, p20, p80, len(seconds), peak_bytes,
        rows / (middle / 1e3), None, None, None,
    )  # fmt: skip


def _sizes(shape: Shape) -> str:
    rows, d_in, latents, k = shape
    return f"N = {rows:,}, D = {d_in:,}, L = {latents:,}, k = {k:,}"


def _header(plan: Plan, clock: CpuClock) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **clock.describe(),
        "dtype": dtype_name(plan.dtype),
        "backend": plan.backend,
        "minutes": plan.minutes,
        "inputs": "normal numbers; scores have deviation 1, biases 0.5",
        "versions": versions(GPU_PACKAGES),
    }
