"""Says by a roofline how fast each kernel can be on a GPU at best, and what was measured.

Predicted milliseconds are the larger of two times: that of the operations at the speed of a large
square product, and that of the bytes at the speed of a copy. Where a row of a matrix is gathered
for each token and latent, it counts each time, although some of these come from the L2 cache.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..problem import Shape
from .records import Record, read
from .setting import MATCHES, PAIRS, SHAPES

HALF, FLOAT, INDEX = 2, 4, 8  # bytes of a number
SCANNED = FLOAT + 2 * HALF  # of a float32 number whose float16 copy is written and read

H100 = {"copy": 2.991, "bf16": 761.8, "fp16": 731.7, "tf32": 393.6}
"""Measured on an H100 (docs/measurements/h100-1-first-contact.jsonl): TB/s of a copy of 1 GiB, and
TFLOP/s of square products by cuBLAS with a side of 8,192."""
CEILING_STEPS = {
    "copy": ("copy", "TB_s"),
    "bf16": ("bf16 8192^3", "TFLOP_s"),
    "fp16": ("fp16 8192^3", "TFLOP_s"),
    "tf32": ("tf32 8192^3", "TFLOP_s"),
}
"""The steps that measure them, and the facts that hold them."""

Facts = Mapping[str, Record]
"""What was measured, by step."""


@dataclass(frozen=True)
class Work:
    """What a kernel has to do at least."""

    bytes: int
    operations: int = 0
    rate: str = "bf16"
    """The ceiling of the operations."""

    def ms(self, ceilings: Mapping[str, float]) -> float:
        """Return the predicted milliseconds."""
        moving = self.bytes / ceilings["copy"]
        multiplying = self.operations / ceilings[self.rate]
        return 1e-9 * max(moving, multiplying)


@dataclass(frozen=True)
class Goal:
    """The most milliseconds that were asked for: a number, or so many times another time."""

    text: str
    factor: float
    of: str = ""
    """The step whose time counts; "" for the prediction."""
    ms: float | None = None
    """The goal itself, where it does not depend on another time."""


@dataclass(frozen=True)
class Expectation:
    """A kernel at one shape."""

    kernel: str
    sizes: str
    dtype: str
    works: tuple[Work, ...]
    """One for each kernel that runs after another."""
    step: str
    """The step of `bench gpu` that measures it."""
    goal: Goal | None = None

    def predicted(self, ceilings: Mapping[str, float]) -> float:
        """Return the predicted milliseconds."""
        return sum(work.ms(ceilings) for work in self.works)

    def measured(self, facts: Facts) -> float | None:
        """Return the measured milliseconds; None if nothing measured it."""
        return measured_ms(facts, self.step)

    def most(self, ceilings: Mapping[str, float], facts: Facts) -> float | None:
        """Return the goal in milliseconds; None where there is none, or it is not known yet."""
        goal = self.goal
        if goal is None:
            return None
        base = goal.ms or self.predicted(ceilings)
        measured = measured_ms(facts, goal.of) if goal.of else base
        return None if measured is None else goal.factor * measured


def expectations() -> list[Expectation]:
    """Return all kernels at the shapes of `bench gpu`."""
    found = [row for shape in SHAPES for row in _autoencoder(shape)]
    found += [_of_pairs(kernel, *PAIRS) for kernel in ("mutual_topk", "pairs_above")]
    found += [_of_pairs("match", *sizes) for sizes in MATCHES]
    found[-1] = replace(found[-1], goal=Goal("under 30 s", 1.0, ms=30_000.0))
    return found


def _of_pairs(kernel: str, latents: int, d_in: int) -> Expectation:
    """Return a kernel of a match; of a whole match, one product counts."""
    product = Work(2 * SCANNED * latents * d_in, 2 * latents**2 * d_in, "fp16")
    sizes = f"L = {latents:,} of both, D = {d_in:,}"
    return Expectation(kernel, sizes, "float32", (product,), f"{kernel} {latents} x {d_in}")


def _autoencoder(shape: Shape) -> list[Expectation]:
    n, d, latents, k = shape
    size, product = f"D {d}", 2 * n * d * latents
    weights, batch, active = latents * d, n * d, n * k * (HALF + INDEX)
    gathered = n * k * d * HALF
    scan = Work(HALF * (weights + batch + latents) + active, product)
    float_scan = Work(SCANNED * (weights + batch), product, "fp16")
    decode = Work(gathered + active + HALF * batch)
    error = Work(gathered + active + 2 * HALF * batch)
    grads = Work(2 * gathered + 2 * active + 2 * FLOAT * weights)
    most = 1.35 if d == SHAPES[0].d_in else 1.5
    goals = {
        "encode": Goal(f"{most} x the product", most, f"{size} encode: product alone"),
        "decode": Goal("80 % of a copy's bandwidth", 1 / 0.8),
        "step": Goal("4 x its encode", 4.0, f"{size} encode: twinsae"),
    }

    def row(kernel: str, job: str, *works: Work, dtype: str = "bfloat16") -> Expectation:
        goal = goals.get(job.removesuffix(": twinsae"))
        return Expectation(kernel, str(shape), dtype, works, f"{size} {job}", goal)

    return [
        row("linear_topk", "encode: twinsae", scan),
        row("linear_topk", "encode torch.float32", float_scan, dtype="float32"),
        row("linear_above", "above: twinsae", scan),
        row("sparse_decode", "decode: twinsae", decode),
        row("gather_dot", "dot", decode),
        row("decode_error", "error", error),
        row("latent_grads", "grads: twinsae", grads),
        row("topk_autoencode", "autoencode: twinsae", scan, decode),
        row("training step", "step: twinsae", scan, error, grads),
    ]


def facts_of(records: Iterable[Record]) -> dict[str, Record]:
    """Return what was measured, by step; the last one counts.

    Raises:
        ValueError: a rehearsal wrote the records.
    """
    found: dict[str, Record] = {}
    for record in records:
        if record.get("rehearsal"):
            raise ValueError("expected measurements of a GPU, got those of a rehearsal")
        if record.get("state") == "end" and ("ms" in record or "seconds" in record):
            found[record["step"]] = record
    return found


def load(file: Path) -> list[Record]:
    """Return the records of a gpu.json or of a .jsonl file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or not of `bench gpu`.
    """
    if file.suffix == ".jsonl":
        return read(file)
    steps = json.loads(file.read_text()).get("steps")
    if not isinstance(steps, list):
        raise ValueError(f"{file}: expected a gpu.json of `twinsae bench gpu`")
    return steps


def ceilings_of(facts: Facts) -> dict[str, float]:
    """Return the ceilings that were measured; those of an H100 where none was."""
    return {
        name: facts[step][fact] if step in facts else H100[name]
        for name, (step, fact) in CEILING_STEPS.items()
    }


def measured_ms(facts: Facts, step: str) -> float | None:
    """Return the milliseconds of a step; None if it was not measured."""
    if step not in facts:
        return None
    own = facts[step]
    return float(own["ms"] if "ms" in own else 1e3 * own["seconds"])
