"""Training loops of other people beside the same loops with our plug-ins."""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from ..common.memory import PeakMemory
from ..sae.activations.store import map_activations
from ..sae.loss import fvu
from .inputs import DEMO, STEP_SHAPES, Shape, random_inputs
from .loops import LOOPS, Loop

PACKAGES = {
    "sparsify": "sparsify",
    "SAELens": "sae_lens",
    "dictionary_learning": "dictionary_learning",
}
BATCHES = 8
UNTIMED = 3  # steps of each: memory is mapped, and latents get the time to count as dead
SAME_FVU = 0.02  # relative; rounding chooses other latents, and the runs drift apart
# AuxK gives sparsify's encoder no gradient unless plugged: the two learn different things.
OTHER_AUXK = "sparsify"


@dataclass(frozen=True)
class Training:
    """One trainer, as it is and plugged."""

    peer: str
    auxk: bool
    seconds: tuple[float, float]
    """Median of a step."""
    peak_bytes: tuple[int, int]
    """By how much memory grows during a step, beyond the weights and the optimiser's state."""
    fvu: tuple[float, float]
    """Of the last batch, after all steps."""


def installed_loops() -> list[str]:
    """Return the names in `LOOPS` of the trainers that are installed."""
    return [name for name, package in PACKAGES.items() if find_spec(package)]


def training_activations(shape: Shape, file: Path | None) -> tuple[Tensor, str]:
    """Return (rows, D) float32, some batches of them, and whether they are real or random.

    Args:
        shape: says how wide they are.
        file: a .safetensors or .npy file; None: the demo's, if it was run and fits, else random.

    Raises:
        ValueError: the file is corrupt, or its activations are too few or of another width.
        OSError: it cannot be read.
    """
    demo = next(iter(sorted(DEMO.glob("activations/shard_*"))), None)
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


def bench_training(peer: str, auxk: bool, x: Tensor, shape: Shape, steps: int) -> Training:
    """Train twice on the same batches of ``x`` (rows, D), the two taking turns step by step.

    Args:
        peer: a name of `LOOPS`.
        auxk: whether dead latents are trained, too.
        x: activations, gone through again and again.
        shape: the batch's and the SAE's sizes.
        steps: how many are timed of each.

    Raises:
        RuntimeError: plugged, the trainer reaches another FVU, and not for the better gradients
            that sparsify's AuxK gets.
    """
    batches = torch.split(x, shape.num_tokens)
    loops = [LOOPS[peer](shape, x.mean(dim=0), auxk, plugged) for plugged in (False, True)]
    seconds: tuple[list[float], list[float]] = ([], [])
    peaks = [0, 0]
    for number in range(UNTIMED + steps):
        batch = batches[number % len(batches)]
        for i, loop in enumerate(loops):
            if number == UNTIMED - 1:
                peaks[i] = _peak(loop, batch)
                continue
            started = time.perf_counter()
            loop.step(batch)
            if number >= UNTIMED:
                seconds[i].append(time.perf_counter() - started)
    stock, plugged = (_fvu(loop, batches[-1]) for loop in loops)
    if not (auxk and peer == OTHER_AUXK) and abs(plugged - stock) > SAME_FVU * stock:
        raise RuntimeError(f"{peer}: FVU {plugged:.4f} plugged, {stock:.4f} as it is: not timed")
    return Training(
        peer,
        auxk,
        (median(seconds[0]), median(seconds[1])),
        (peaks[0], peaks[1]),
        (stock, plugged),
    )


def _peak(loop: Loop, batch: Tensor) -> int:
    with PeakMemory() as memory:
        loop.step(batch)
    return memory.peak_bytes


@torch.no_grad()
def _fvu(loop: Loop, batch: Tensor) -> float:
    return fvu(batch, loop.reconstruct(batch)).item()
