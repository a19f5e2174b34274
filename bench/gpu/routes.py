"""The routes by which our scan serves a call on a GPU: forced one by one, or measured.

The Triton backend alone has them; it is imported here only where it is asked for.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from statistics import median
from typing import Any, get_args

from ...kernels.backends import Backend
from .clock import LEAST_ROUNDS, CpuClock
from .problem import Problem

OP = "linear_topk"
_PLANS = "twinsae.kernels.topk.triton.plans"


def route_names(backend: Backend) -> tuple[str, ...]:
    """Return the routes that a backend has, such as "fused" and "chunked"; most have none."""
    return get_args(import_module(_PLANS).Route) if backend == "triton" else ()


def by_route(name: str, problem: Problem) -> AbstractContextManager[None]:
    """Return a context in which encodings of this problem take a route, in its first cut."""
    plans = import_module(_PLANS)
    chosen = next(plan for plan in _question(problem).plans() if plan.route == name)
    context: AbstractContextManager[None] = plans.forced(OP, chosen)
    return context


def tune(call: Callable[[], object], clock: CpuClock) -> str:
    """Measure the routes and cuts for a call of the scan; it takes the fastest from now on.

    Returns:
        its name.
    """

    def seconds(way: Callable[[], object]) -> float:
        return median(clock.samples({"": way}, LEAST_ROUNDS, lambda: True)[""])

    return str(import_module(_PLANS).tune(call, seconds))


def _question(problem: Problem) -> Any:
    rows, d_in, latents, k = problem.shape
    x = problem.x
    return import_module(_PLANS).Question(OP, x.device, x.dtype, rows, latents, d_in, k)
