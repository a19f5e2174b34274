"""The whole match of two dictionaries on the device, with our candidates and with FAISS's."""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch

from ...matching import Matching, match
from ...matching.solver.candidates import Source
from ..instances import Planted, planted_pair
from ..match import SAME_OBJECTIVE, planted_found
from ..measurement import OURS
from .clock import CpuClock
from .oracle import WrongError
from .results import MatchTiming

FAISS = f"{OURS}, candidates by FAISS"


class OutOfTimeError(Exception):
    """The time for the whole run is over."""


def match_variants(device: torch.device) -> dict[str, Source]:
    """Return who may find the candidates: FAISS, too, where it is installed for this device."""
    found: dict[str, Source] = {OURS: "scan"}
    if find_spec("faiss") and (device.type == "cpu" or hasattr(import_module("faiss"), "knn_gpu")):
        found[FAISS] = "faiss"
    return found


def planted_on(device: torch.device, latents: int, d_in: int) -> Planted:
    """Return a planted pair whose dictionaries are on the device."""
    made = planted_pair(latents, d_in)
    return Planted(made.a.to(device), made.b.to(device), made.partner, made.cosine)


def time_match(
    variant: str, source: Source, made: Planted, clock: CpuClock, in_time: Callable[[], bool]
) -> MatchTiming:
    """Match once, the time being that of the host's clock.

    Raises:
        OutOfTimeError: it was stopped.
        WrongError: the matching is not proved to be optimal.
    """
    found: list[Matching] = []

    def stop(phase: str, done: int, total: int, unit: str, **facts: float) -> None:  # noqa: ARG001
        if not in_time():
            raise OutOfTimeError

    def run() -> None:
        found.append(match(made.a, made.b, candidates=source, progress=stop))
        clock.synchronize()

    started = time.monotonic()
    peak = clock.peak_bytes(run)
    seconds = time.monotonic() - started
    (matching,) = found
    if not matching.certified:
        raise WrongError(f"not proved: the gap is {matching.gap:.3g}")
    latents, d_in = made.a.shape
    return MatchTiming(
        variant, latents, d_in, seconds, peak,
        int(matching.stats["peak_memory_bytes"]), matching.objective, matching.gap,
        dict(matching.stats.get("seconds", {})),
        planted_found(made, matching),
    )  # fmt: skip


def refuse_another_objective(timings: list[MatchTiming]) -> None:
    """Raise WrongError unless all matches of the same dictionaries have one objective."""
    objectives = [timing.objective for timing in timings]
    apart = max(objectives) - min(objectives) if objectives else 0.0
    if timings and apart > SAME_OBJECTIVE * timings[0].L:
        raise WrongError(f"objectives are {apart:.3g} apart")
