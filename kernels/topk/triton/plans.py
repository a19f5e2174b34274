"""Chooses the route and the tile of a scan: by a rule, or by what was measured on this GPU.

Only `tune(call)` measures. It keeps the result in a file. No other call measures, so that none is
delayed, above all none that a CUDA graph records.
"""

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
import triton
from torch import Tensor

from ...launch import capturing
from .tiles import Tile, tiles_for

Route = Literal["fused", "chunked"]


@dataclass(frozen=True)
class Plan:
    """The route and the tile of one call."""

    route: Route
    tile: Tile
    """How the fused route cuts the product; the chunked route does not read it."""

    def __str__(self) -> str:
        """Return the name in the cache's file."""
        cut = "{}x{}x{} warps {} stages {}".format(*astuple(self.tile))
        return f"{self.route} {cut}{' described' if self.tile.described else ''}"


@dataclass(frozen=True)
class Question:
    """The facts that a plan is chosen by. Its name has sizes rounded up to powers of two."""

    op: str
    device: torch.device
    dtype: torch.dtype
    rows: int
    latents: int
    dim: int
    k: int

    def __str__(self) -> str:
        """Return the name in the cache's file."""
        named = zip("NLDk", (self.rows, self.latents, self.dim, self.k), strict=True)
        sizes = " ".join(f"{n} {triton.next_power_of_2(max(1, size))}" for n, size in named)
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{machine(self.device)}, {self.op} {dtype} {sizes}"

    def plans(self) -> list[Plan]:
        """List the plans to choose from. The first is taken where nothing was measured."""
        tiles = tiles_for(self.op, capability(self.device))
        found = [Plan("fused", tile) for tile in tiles]
        return [*found, Plan("chunked", tiles[0])] if self.op == "linear_topk" else found


_forced: dict[str, Plan] = {}
_asked: list[Question] | None = None  # a list while `tune` listens


def plan_for(op: str, x: Tensor, latents: int, k: int) -> Plan:
    """Return the plan for a call of `op`: the forced one, the measured one, or the first.

    Args:
        op: "linear_topk", "mutual_topk" or "pairs_above".
        x: (N, D).
        latents: L; k: how many of them are wanted, 1 for pairs.

    """
    question = Question(op, x.device, x.dtype, x.shape[0], latents, x.shape[1], k)
    if _asked is not None:
        _asked.append(question)
    if op in _forced:
        return _forced[op]
    plans = question.plans()
    measured = _read().get(str(question))
    return next((plan for plan in plans if str(plan) == measured), plans[0])


@contextmanager
def forced(op: str, plan: Plan) -> Iterator[None]:
    """In this context, `plan` serves every call of `op`."""
    before = _forced.copy()
    _forced[op] = plan
    try:
        yield
    finally:
        _forced.clear()
        _forced.update(before)


def tune(
    call: Callable[[], object], timer: Callable[[Callable[[], object]], float] | None = None
) -> Plan:
    """Measure the plans for a call, and keep the fastest for calls of similar sizes.

    Args:
        call: calls one scan on a GPU once, outside a CUDA graph.
        timer: takes such a call and returns its seconds. None takes the median of some runs.

    Returns:
        The fastest plan, which this process and later ones take from now on.

    Raises:
        RuntimeError: a CUDA graph is being recorded, or the call has no plan to choose.

    """
    if capturing():
        raise RuntimeError("tune: a CUDA graph is being recorded")
    question = _question_of(call)
    seconds = {}
    for plan in question.plans():
        with forced(question.op, plan):
            call()  # compiles the kernels
            seconds[plan] = (timer or _median)(call)
    best = min(seconds, key=lambda plan: seconds[plan])
    _write(str(question), str(best))
    return best


def _question_of(call: Callable[[], object]) -> Question:
    global _asked
    asked: list[Question] = []
    _asked = asked
    try:
        call()
    finally:
        _asked = None
    if not asked:
        raise RuntimeError("tune: the call has no plan to choose")
    return asked[0]


def _median(call: Callable[[], object]) -> float:
    milliseconds: float = triton.testing.do_bench(call, return_mode="median")
    return milliseconds


def capability(device: torch.device) -> int:
    """Return a GPU's compute capability as in sm_90; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def machine(device: torch.device) -> str:
    """Return a text with all that a measurement depends on, except the call."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter"
    return f"{name} sm_{capability(device)}, triton {triton.__version__}, torch {torch.__version__}"


def cache_file() -> Path:
    """Return the path of the file that keeps measured plans."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "twinsae" / "plans.json"


@cache
def _read() -> dict[str, str]:
    path = cache_file()
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError("expected a table")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        warnings.warn(f"{path}: left out, because it cannot be read: {problem}", stacklevel=4)
        return {}
    return found


def _write(question: str, plan: str) -> None:
    path = cache_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    _read.cache_clear()  # another process may have written
    known = _read() | {question: plan}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(known, file, indent=1, sort_keys=True)
    Path(file.name).replace(path)
    _read.cache_clear()
