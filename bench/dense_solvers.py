"""Other people's solvers of the dense assignment problem, where they are installed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

Cost = NDArray[np.float64]
Columns = NDArray[np.int64]

_STEPS = 1e6  # OR-tools takes whole numbers


@dataclass(frozen=True)
class DenseSolver:
    """Assigns each row of a square matrix a column of its own, for the least sum."""

    name: str
    package: str
    bytes_per_pair: int
    """About what it takes beside the matrix, to know beforehand whether it fits."""
    solve: Callable[[Cost], Columns]
    """cost (L, L), not negative -> (L,)."""


def dense_solvers() -> list[DenseSolver]:
    """Return those that are installed."""
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
