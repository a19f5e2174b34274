"""Other people's solvers of the dense assignment problem, where they are installed.

Each runs in its own process with a time limit, because the loop of lapjv may never end on ties.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ..common.memory import PeakMemory

Cost = NDArray[np.float64]
Columns = NDArray[np.int64]

_STEPS = 1e6  # steps in a cost of 1, for OR-tools, which takes whole numbers


@dataclass(frozen=True)
class DenseSolver:
    """Assigns each row of a square matrix its own column, so that the sum of costs is least."""

    name: str
    package: str
    bytes_per_pair: int
    """About how much memory it takes beside the matrix; this tells beforehand whether it fits."""
    solve: Callable[[Cost], Columns]
    """Costs (L, L), not negative -> the column of each row, (L,)."""


@dataclass(frozen=True)
class Solved:
    """The result of a solver, with its time and its memory."""

    columns: Columns
    """(L,): the column of each row."""
    seconds: float
    peak_bytes: int
    """The peak of memory beyond the matrix."""


def solve_in_child(solver: DenseSolver, cost: Cost, limit: float) -> Solved | None:
    """Run a solver in another process, which reads the matrix from a temporary file.

    Args:
        solver: the solver to run.
        cost: (L, L) float64, not negative.
        limit: seconds after which the process is killed.

    Returns:
        The result, or None if the limit was reached.

    Raises:
        RuntimeError: the process ended without a result.
    """
    context = get_context("spawn")  # a fork would copy the locks of our threads
    receiver, sender = context.Pipe(duplex=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cost.npy"
        np.save(path, cost)
        child = context.Process(target=_solve, args=(solver, path, sender), daemon=True)
        child.start()
        sender.close()  # only the child holds the other end, so the pipe ends when the child does
        try:
            found: Solved | None = receiver.recv() if receiver.poll(limit) else None
        except EOFError:
            raise RuntimeError(f"{solver.name}: the process ended without a result") from None
        finally:
            child.kill()
            child.join()
    return found


def _solve(solver: DenseSolver, path: Path, sender: Connection) -> None:
    cost = np.load(path)
    with PeakMemory() as memory:
        started = time.perf_counter()
        columns = solver.solve(cost)
        seconds = time.perf_counter() - started
    sender.send(Solved(columns, seconds, memory.peak_bytes))


def dense_solvers() -> list[DenseSolver]:
    """Return the solvers that are installed."""
    return [solver for solver in _SOLVERS if find_spec(solver.package)]


def _scipy(cost: Cost) -> Columns:
    columns: Columns = import_module("scipy.optimize").linear_sum_assignment(cost)[1]
    return columns


def _lapjv(cost: Cost) -> Columns:
    columns: Columns = import_module("lapjv").lapjv(cost, force_doubles=True)[0]
    return columns


def _lapx(cost: Cost) -> Columns:
    columns: Columns = import_module("lap").lapjv(cost)[1]
    return columns


def _or_tools(cost: Cost) -> Columns:
    solver = import_module("ortools.graph.python.linear_sum_assignment").SimpleLinearSumAssignment()
    places = np.arange(len(cost), dtype=np.int32)
    for row in places:
        whole = np.rint(cost[row] * _STEPS).astype(np.int64)
        solver.add_arcs_with_cost(np.full_like(places, row), places, whole)
    solver.solve()
    return np.array([solver.right_mate(row) for row in places])


_SOLVERS = (
    DenseSolver("scipy", "scipy", 0, _scipy),
    DenseSolver("lapjv", "lapjv", 0, _lapjv),
    DenseSolver("lapx", "lap", 0, _lapx),
    DenseSolver("OR-tools", "ortools", 40, _or_tools),
)
