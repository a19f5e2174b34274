"""Times other people's training loops as they are, and with our plug-ins."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor

from ..sae.activations.store import map_activations
from ..sae.loss import fvu
from .clock import Call, CpuClock
from .inputs import DEMO, STEP_SHAPES, random_inputs
from .loops import LOOPS, Loop
from .measurement import OURS, Measurement, Task, summary
from .problem import Shape
from .refuse import WrongResultError

PACKAGES = {
    "sparsify": "sparsify",
    "SAELens": "sae_lens",
    "dictionary_learning": "dictionary_learning",
}
STOCK = "stock"
BATCHES = 29  # those of the demo's activations, at 2,048 tokens
UNTIMED = 3  # the first steps map memory and let latents become dead
SAME_FVU = 0.02  # relative; rounding changes the choice of latents, and the runs drift apart
# AuxK gives the encoder of sparsify a gradient only when plugged, so the two learn differently.
OTHER_AUXK = "sparsify"


def installed_loops() -> list[str]:
    """Return the names in `LOOPS` of the trainers that are installed."""
    return [name for name, package in PACKAGES.items() if find_spec(package)]


def training_activations(shape: Shape, file: Path | None) -> tuple[Tensor, str]:
    """Return activations (rows, D) in float32 for some batches, and "real" or "random".

    Args:
        shape: the sizes of a batch and of the SAE.
        file: a .safetensors or .npy file; None means the file of `twinsae demo`, if it is there
            and fits, else random numbers.

    Raises:
        ValueError: the file is corrupt, or its activations are too few or of another width.
        OSError: the file cannot be read.
    """
    demo = next(iter(sorted(DEMO.glob("activations/**/shard_*"))), None)
    if file is None and demo is not None and shape == STEP_SHAPES[-1]:
        file = demo
    if file is None:
        return random_inputs(shape).x, "random"
    x = map_activations(file)[: BATCHES * shape.num_tokens].float()
    if x.shape[1] != shape.d_in or len(x) < shape.num_tokens:
        raise ValueError(
            f"{file}: expected {shape.num_tokens:,} rows or more of {shape.d_in} numbers, "
            f"got shape {tuple(x.shape)}"
        )
    return x[: len(x) // shape.num_tokens * shape.num_tokens], "real"


def bench_training(
    peer: str, auxk: bool, x: Tensor, shape: Shape, source: str, steps: int
) -> list[Measurement]:
    """Train twice on the same batches of ``x`` (rows, D); the two take turns step by step.

    Args:
        peer: a name of `LOOPS`.
        auxk: whether the loss of dead latents is on.
        x: activations, used again and again.
        shape: the sizes of a batch and of the SAE.
        source: "real" or "random".
        steps: how many steps of each are timed.

    Returns:
        The trainer as it is (`STOCK`), and with our plug-in; the FVU of the last batch after all
        steps is a note. Memory is beyond the weights and the state of the optimiser.

    Raises:
        WrongResultError: the plugged trainer reaches another FVU. sparsify with AuxK is exempt,
            because the plug-in corrects its gradients.
    """
    batches, clock = torch.split(x, shape.num_tokens), CpuClock()
    names = (STOCK, OURS)
    loops = {way: LOOPS[peer](shape, x.mean(dim=0), auxk, way == OURS) for way in names}
    ways = {way: _steps(loop, batches) for way, loop in loops.items()}
    for _ in range(UNTIMED - 2):
        for step in ways.values():
            step()
    peaks = {way: clock.peak(step).total for way, step in ways.items()}
    taken = clock.samples(ways, steps)  # the first step of each warms up
    stock, plugged = reached = [_fvu(loop, batches[-1]) for loop in loops.values()]
    if not (auxk and peer == OTHER_AUXK) and abs(plugged - stock) > SAME_FVU * stock:
        raise WrongResultError(f"{peer}: FVU {plugged:.4f} plugged, {stock:.4f} stock: not timed")
    operations = 2 * shape.num_tokens * shape.d_in * shape.num_latents
    task = Task(f"{peer}, AuxK" if auxk else peer, shape.sizes, source, operations)
    return [
        replace(summary(task, way, taken[way], peaks[way]), notes=[f"FVU {value:.4f}"])
        for way, value in zip(names, reached, strict=True)
    ]


def _steps(loop: Loop, batches: Sequence[Tensor]) -> Call:
    """Return a call that trains on the next batch; after the last one it begins again."""
    endless = cycle(batches)
    return lambda: loop.step(next(endless))


@torch.no_grad()
def _fvu(loop: Loop, batch: Tensor) -> float:
    return fvu(batch, loop.reconstruct(batch)).item()
