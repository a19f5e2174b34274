"""Stage match: whole matches of dictionaries that are planted on the device, each once."""

import time
from functools import partial

from ...matching import match
from ..match import planted_found
from ..planted import planted_pair
from ..refuse import WrongResultError
from .records import Record
from .setting import Setting
from .steps import Steps

SECONDS = 80.0  # the limit of one match


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    for latents, d_in in setting.matches:
        name = f"match {latents} x {d_in}"
        steps.run(name, partial(time_match, setting, latents, d_in), SECONDS)


def time_match(setting: Setting, latents: int, d_in: int) -> Record:
    """Match once.

    Raises:
        WrongResultError: the matching is not proved to be optimal.
    """
    made = planted_pair(latents, d_in, device=setting.device)
    setting.clock.synchronize()
    found = []
    started = time.monotonic()
    peak = setting.clock.peak(lambda: found.append(match(made.a, made.b)))
    seconds = time.monotonic() - started
    (matching,) = found
    if not matching.certified:
        raise WrongResultError(f"not proved: the gap is {matching.gap:.3g}")
    phases = matching.stats["seconds"].items()
    return {
        "seconds": round(seconds, 2),
        "phases": {phase: round(took, 2) for phase, took in phases},
        "gap": matching.gap,
        "objective": matching.objective,
        "found": planted_found(made, matching),
        "device_GiB": round(peak.total / 2**30, 2),
        "host_GiB": round(matching.stats["peak_memory_bytes"] / 2**30, 2),
    }
