"""Times whole matches on the device, with our candidates and with those of FAISS."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import torch

from ...common.units import format_bytes
from ...matching import Matching, match
from ...matching.solver.candidates import Source
from ..clock import CpuClock
from ..match import SAME_OBJECTIVE, Pair, match_notes, match_task
from ..measurement import OURS, Measurement, summary
from ..planted import planted_pair
from ..refuse import WrongResultError

FAISS = f"{OURS}, candidates by FAISS"


class OutOfTimeError(Exception):
    """The time for the whole run is over."""


def match_ways(device: torch.device) -> dict[str, Source]:
    """Return {way: source of candidates}; FAISS is one where it is installed for the device."""
    found: dict[str, Source] = {OURS: "scan"}
    if find_spec("faiss") and (device.type == "cpu" or hasattr(import_module("faiss"), "knn_gpu")):
        found[FAISS] = "faiss"
    return found


def planted_on(device: torch.device, latents: int, d_in: int) -> Pair:
    """Return a planted pair whose dictionaries are on the device."""
    made = planted_pair(latents, d_in)
    return Pair(made.a.to(device), made.b.to(device), "planted, seed 0", made)


def time_match(
    way: str, source: Source, pair: Pair, clock: CpuClock, in_time: Callable[[], bool]
) -> tuple[Measurement, float]:
    """Match once, and take the time by the clock of the host.

    Returns:
        The measurement, whose memory is that of the device, and the objective of the matching.

    Raises:
        OutOfTimeError: ``in_time`` returned False.
        WrongResultError: the matching is not proved to be optimal.
    """
    found: list[Matching] = []

    def stop(phase: str, done: int, total: int, unit: str, **facts: float) -> None:  # noqa: ARG001
        if not in_time():
            raise OutOfTimeError

    def run() -> None:
        found.append(match(pair.a, pair.b, candidates=source, progress=stop))
        clock.synchronize()

    started = time.monotonic()
    peak = clock.peak(run)
    seconds = time.monotonic() - started
    (matching,) = found
    if not matching.certified:
        raise WrongResultError(f"not proved: the gap is {matching.gap:.3g}")
    host = format_bytes(int(matching.stats["peak_memory_bytes"]))
    notes = [*match_notes(pair.planted, matching), f"host memory {host}"]
    measured = summary(match_task(pair), way, [seconds], peak.total)
    return replace(measured, notes=notes), matching.objective


def refuse_another_objective(objectives: Sequence[float], latents: int) -> None:
    """Raise WrongResultError unless all matches of the same dictionaries have one objective."""
    apart = max(objectives) - min(objectives)
    if apart > SAME_OBJECTIVE * latents:
        raise WrongResultError(f"the objectives are {apart:.3g} apart")
