"""How long a match would take on this machine, by a probe of a few seconds."""

import time

import torch

from ..kernels.topk import mutual_topk, pack

_PROBE_ROWS = 4096
# A whole match takes this many passes like the probe's: measured at D from 256 to 4,096 (the
# manual's page Benchmarks). What goes by the latents alone comes on top.
_PASSES = 1.8
_SECONDS_PER_LATENT = 60e-6


def predicted_seconds(num_a: int, num_b: int, d_in: int) -> float:
    """Return what a match of one side is predicted to take, from a probe of this machine.

    Args:
        num_a: latents of A.
        num_b: latents of B.
        d_in: width.
    """
    rows = torch.nn.functional.normalize(torch.randn(_PROBE_ROWS, d_in), dim=1)
    packed = pack(rows)
    mutual_topk(rows[:256], packed, 32)  # warm
    start = time.perf_counter()
    mutual_topk(rows, packed, 32)
    pairs_per_second = _PROBE_ROWS**2 / (time.perf_counter() - start)
    return _PASSES * num_a * num_b / pairs_per_second + _SECONDS_PER_LATENT * (num_a + num_b)
