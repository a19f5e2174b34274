"""How a match uses threads: its phases at one and two, and what a model predicts for more.

The model is Amdahl's (https://doi.org/10.1145/1465482.1465560), for each phase:
t(1) = s + w, t(p) = s + h w / p. The slowdown h is how many times as long a thread takes while its
neighbour works, too (neighbour.py); s and w are those that the times at one and two threads then
give. The model lets more cores share memory and caches as two of them do, not worse.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..common.progress import Progress, renamed
from ..matching import match
from .match import Pair
from .neighbour import slowdown
from .refuse import WrongResultError

MEASURED = (1, 2)
PREDICTED = (16, 64)
_REST = "rest"


@dataclass(frozen=True)
class Phase:
    """What one phase of a match took."""

    name: str
    seconds: Mapping[int, float]
    """By the number of threads, 1 and 2."""
    slowdown: float = 1.0
    """How many times as long one thread takes while its neighbour works, 1 or more: h."""

    @property
    def parallel(self) -> float:
        """The seconds of one thread that more threads share: w.

        It is 0 where a second core adds nothing, which hides what threads share.
        """
        gain = 1 - self.slowdown / 2
        saved = self.seconds[1] - self.seconds[2]
        return min(self.seconds[1], max(0.0, saved / gain)) if gain > 0 else 0.0

    @property
    def serial(self) -> float:
        """The seconds that stay, however many threads there are: s."""
        return self.seconds[1] - self.parallel

    def predicted(self, threads: int) -> float:
        """Return the model's seconds, for 2 threads or more."""
        return self.serial + self.slowdown * self.parallel / threads


def bench_threads(pair: Pair, progress: Progress) -> list[Phase]:
    """Match a pair with one thread and with two, once each, and measure the slowdown.

    Returns:
        The phases in their order; the last, "rest", is what no phase counts.

    Raises:
        WrongResultError: the two matchings have different partners.
    """
    before = torch.get_num_threads()
    slower = slowdown(max(len(pair.a), len(pair.b)), pair.a.shape[1])
    taken: dict[int, dict[str, float]] = {}
    partners = []
    try:
        for threads in MEASURED:
            torch.set_num_threads(threads)
            started = time.perf_counter()
            told = renamed(progress, after=f", {threads} threads")
            matching = match(pair.a, pair.b, progress=told)
            total = time.perf_counter() - started
            phases = matching.stats["seconds"]
            taken[threads] = {**phases, _REST: total - sum(phases.values())}
            partners.append(matching.cols)
    finally:
        torch.set_num_threads(before)
    if (partners[0] != partners[1]).any():
        raise WrongResultError("match: one thread and two give different partners")
    return [Phase(name, {p: taken[p][name] for p in MEASURED}, slower) for name in taken[1]]
