"""Which route and which cut serve a call: a rule, or what was measured on this GPU.

`tune(call)` measures, on demand only, and keeps the result in a file. Nothing else measures, so
that no call is ever late, least of all one that a CUDA graph records.
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
    """How a call is served."""

    route: Route
    tile: Tile
    """Of the fused route."""

    def __str__(self) -> str:
        """Return the name in the cache's file."""
        cut = "{}x{}x{} warps {} stages {}".format(*astuple(self.tile))
        return f"{self.route} {cut}{' described' if self.tile.described else ''}"


@dataclass(frozen=True)
class Question:
    """What a plan is chosen for. Sizes are rounded up to powers of two."""

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
        """List the plans that may serve it; the first needs no measurement."""
        tiles = tiles_for(self.op, capability(self.device))
        found = [Plan("fused", tile) for tile in tiles]
        return [*found, Plan("chunked", tiles[0])] if self.op == "linear_topk" else found


_forced: dict[str, Plan] = {}
_asked: list[Question] | None = None  # a list while `tune` listens


def plan_for(op: str, x: Tensor, latents: int, k: int) -> Plan:
    """Return the plan for a call of `op`: one that is forced, measured, or the first.

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
    """Inside, `plan` serves every call of `op`."""
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
    """Measure the plans for a call, and keep the fastest for calls of about its sizes.

    Args:
        call: calls one scan on a GPU, once, outside of a CUDA graph.
        timer: takes such a call and returns its seconds. None: the median of some runs.

    Returns:
        The plan that this process, and later ones, take from now on.

    Raises:
        RuntimeError: a CUDA graph is being recorded, or nothing was called that has a choice.

    """
    if capturing():
        raise RuntimeError("tune: a CUDA graph is being recorded")
    question = _question_of(call)
    seconds = {}
    for plan in question.plans():
        with forced(question.op, plan):
            call()  # compiles
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
    """Name all that a measurement depends on but the call."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter"
    return f"{name} sm_{capability(device)}, triton {triton.__version__}, torch {torch.__version__}"


def cache_file() -> Path:
    """Return where measured plans are kept."""
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
