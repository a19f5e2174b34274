"""Runs the checks and then the times, until all is done or the time is over."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

from ...matching.solver.candidates import Source
from ..clock import CpuClock
from ..machine import PACKAGES, versions
from ..match import Pair
from ..measurement import PRODUCT, Task, summary
from ..problem import Numbers, Problem, Shape, dtype_name, timing_problem
from ..refuse import WrongResultError
from . import matches
from .checks import Job, big_jobs, run_check, said, usual_jobs
from .cuda_clock import LostDeviceError
from .gates import GATES, Gate
from .matches import OutOfTimeError
from .ops import Op
from .plan import KERNELS, Plan
from .results import Results
from .setting import Setting
from .torch_ways import chunked_encode
from .ways import WAYS, Means, Way

GPU_PACKAGES = (*PACKAGES, "triton", "faiss-gpu-cu12", "flexsae")
CHECKS_SHARE = 0.35  # Check no more large tensors after this share of the time.
OP_SECONDS = 4.0  # Begin no further round of a job at one shape after this long.
LAST_SECONDS = 15.0  # Keep this long for the tables and the plot.
MATCH_SECONDS = 90.0  # Begin no match when less time is left.
SOLVING_SECONDS = 30.0  # Stop a match at this long before the end: it may not report for so long.

Tell = Callable[[str], None]


class Run:
    """A run in progress; `results` are written to disk whenever something is added.

    Args:
        plan: what is checked and timed.
        clock: measures the device.
        file: the JSON file of the results.
        tell: takes a line about each step that is done.
    """

    def __init__(self, plan: Plan, clock: CpuClock, file: Path, tell: Tell) -> None:
        self.plan = plan
        self.clock = clock
        self.file = file
        self.tell = tell
        self.results = Results(_header(plan, clock))
        self._started = time.monotonic()
        self._refused: dict[tuple[str, torch.dtype], str] = {}
        self._objectives: list[float] = []

    def go(self) -> Results:
        """Do as much of the plan as the time allows."""
        try:
            with torch.no_grad():
                self._go()
            self.results.finished = True
        except LostDeviceError as lost:
            gone = "the device does not work any more; measure the rest in another run with --only"
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
        return usual_jobs(self.plan.odd, self.plan.real)

    def _check(self, jobs: Iterable[Job], dtype: torch.dtype, at_least: float = 0.0) -> None:
        """Run those checks that the jobs need, while at least so many seconds are left."""
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
            gib = f"{needed / 2**30:,.0f} GiB of memory, and {free / 2**30:,.0f} GiB are free"
            self._skip(f"checks beyond {plan.big[0]:,} numbers in a tensor: they need {gib}")
            return
        share = (1 - CHECKS_SHARE) * 60 * plan.minutes
        self._check(big_jobs(*plan.big), plan.dtype, at_least=share)

    # Times

    def _time_square(self) -> None:
        size = self.plan.square
        numbers = Numbers(self.plan.dtype, self.clock.device)
        a, b = numbers.normal(size, size), numbers.normal(size, size)
        out = torch.empty_like(a)
        taken = self.clock.medians({"square": lambda: torch.mm(a, b, out=out)}, self.plan.rounds)
        self.results.square_flops = 2 * size**3 / taken["square"]
        self.tell(f"square product: {self.results.square_flops / 1e12:,.1f} TFLOP/s")

    def _time_shape(self, shape: Shape, compiled: bool) -> None:
        ops = [op for op in self.plan.ops if op != "match"]
        if not self._in_time():
            self._skip(f"{', '.join(ops)} at {shape}: out of time")
            return
        try:
            problem = timing_problem(shape, Numbers(self.plan.dtype, self.clock.device))
            found = chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
            problem = problem.encoded(*found)
        except Exception as error:
            self._failed(f"inputs at {shape}", error)
            return
        for op in ops:
            if self._in_time():
                self._time_op(op, problem, compiled)
            else:
                self._skip(f"{op} at {shape}: out of time")
            self.clock.release()

    def _time_op(self, op: Op, problem: Problem, compiled: bool) -> None:
        what = f"{op} at {problem.shape}"
        if compiled:
            torch.compiler.reset()
        means = Means(self.plan.backend, self.plan.compiler if compiled else None)
        try:
            gate = GATES[op](problem)
            admitted = [
                (way, *facts)
                for way in WAYS[op](problem, means)
                if (facts := self._admit(what, way, gate, len(problem.x))) is not None
            ]
            started = time.monotonic()
            taken = self.clock.samples(
                {way.name: way.run for way, *_ in admitted},
                self.plan.rounds,
                lambda: time.monotonic() - started > OP_SECONDS or not self._in_time(),
            )
        except Exception as error:
            self._failed(what, error)
            return
        operations = 2 * problem.x.numel() * len(problem.W_enc)
        task = Task(op, problem.shape.sizes, "random", operations)
        self.results.timings.extend(
            replace(summary(task, way.name, taken[way.name], peak), redone=redone)
            for way, peak, redone in admitted
        )
        self.results.save(self.file)
        times = ", ".join(f"{name} {1e3 * median(own):.3g} ms" for name, own in taken.items())
        self.tell(f"{what}: {times}; {self._left():.0f} s left")

    def _admit(self, what: str, way: Way, gate: Gate, rows: int) -> tuple[int, float | None] | None:
        """Return the peak memory of a way and its share of rows redone; None if it is not timed."""
        if not self._in_time():
            self._skip(f"{what}, {way.name}: out of time")
            return None
        for kernel in way.kernels:
            if (kernel, self.plan.dtype) in self._refused:
                self._refuse(f"not timed: {what}, {way.name}: {kernel} is wrong", ours=True)
                return None
        try:
            found = way.run()
            self.clock.synchronize()
            if way.name != PRODUCT:
                gate(way, found)
            stats = getattr(found, "stats", None)
            redone = None if stats is None else int(stats.rows_redone) / rows
            del found
            return self.clock.peak(way.run).total, redone
        except WrongResultError as wrong:
            self._refuse(f"not timed: {what}, {way.name}: {wrong}", bool(way.kernels))
        except Exception as error:
            self._failed(f"{what}, {way.name}", error, bool(way.kernels))
        return None

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
            ways = matches.match_ways(self.clock.device)
        except Exception as error:
            self._failed(what, error)
            return
        for way, source in ways.items():
            self._time_match(f"{what}, {way}", way, source, made)

    def _time_match(self, what: str, way: str, source: Source, pair: Pair) -> None:
        try:
            found, objective = matches.time_match(
                way, source, pair, self.clock, lambda: self._left() > SOLVING_SECONDS
            )
            self.results.matches.append(found)
            self._objectives.append(objective)
            matches.refuse_another_objective(self._objectives, len(pair.a))
            self.tell(f"{what}: {found.seconds:.1f} s; {self._left():.0f} s left")
        except OutOfTimeError:
            self._skip(f"{what}: out of time")
        except WrongResultError as wrong:
            self._refuse(f"{what}: {wrong}", ours=True)
        except Exception as error:
            self._failed(what, error)
        self.results.save(self.file)
        self.clock.release()

    # Failures, and what is left out

    def _failed(self, what: str, error: Exception, ours: bool = True) -> None:
        """Note that something raised an error.

        Raises:
            LostDeviceError: the device does not work any more.
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
        """Return the seconds that are left for checks and times."""
        return self._started + 60 * self.plan.minutes - LAST_SECONDS - time.monotonic()

    def _in_time(self) -> bool:
        return self._left() > 0


def _header(plan: Plan, clock: CpuClock) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **clock.describe(),
        "dtype": dtype_name(plan.dtype),
        "backend": plan.backend,
        "minutes": plan.minutes,
        "inputs": "normal numbers; the standard deviation is 1 for scores, 0.5 for biases",
        "versions": versions(GPU_PACKAGES),
    }
