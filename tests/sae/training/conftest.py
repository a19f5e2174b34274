"""Activations small enough to train on in a test, and ways to stop and to compare training."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from twinsae.common.progress import Progress
from twinsae.sae import SAE
from twinsae.sae.activations.store import ActivationStore, open_activations


class MemoryActivations:
    """What training needs of an activation store, over a tensor; `served` counts its batches."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.rows, self.d_in = x.shape
        self.meta: dict[str, object] = {}
        self.shard_rows, self.shard_tokens = [self.rows], [None]
        self.fingerprint = f"memory {float(x.nan_to_num().sum()):.6f}"
        self.served = 0

    def steps_per_epoch(self, batch_size: int) -> int:
        return self.rows // batch_size

    def row_batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[Tensor]:
        steps = self.steps_per_epoch(batch_size)
        for step in range(start_step, steps * epochs):
            epoch, i = divmod(step, steps)
            generator = torch.Generator().manual_seed(shuffle_seed + epoch)
            order = torch.randperm(self.rows, generator=generator)
            self.served += 1
            yield order[i * batch_size : (i + 1) * batch_size]

    def gather(self, rows: Tensor) -> Tensor:
        return self.x[rows]

    def batches(self, batch_size: int, **order: int) -> Iterator[Tensor]:
        return map(self.gather, self.row_batches(batch_size, **order))


def _planted(rows: int, d_in: int) -> Tensor:
    """Return (rows, d_in) sums of a few of 3 d_in directions each: what an SAE can learn."""
    generator = torch.Generator().manual_seed(rows * d_in)
    directions = torch.randn(3 * d_in, d_in, generator=generator)
    active = torch.rand(rows, 3 * d_in, generator=generator) < 2 / d_in
    return active.float() @ directions + 1.0


@pytest.fixture(scope="session")
def make_activations() -> Callable[[int, int], MemoryActivations]:
    return lambda rows, d_in: MemoryActivations(_planted(rows, d_in))


@pytest.fixture
def activations() -> MemoryActivations:
    """400 activations of the odd width 13."""
    return MemoryActivations(_planted(400, 13))


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """One .safetensors file with 400 activations of width 13."""
    path = tmp_path / "activations.safetensors"
    save_file({"activations": _planted(400, 13)}, path)
    return path


@pytest.fixture
def small_store(small_file: Path) -> ActivationStore:
    return open_activations(small_file)


def _same_bits(some: Sequence[SAE], others: Sequence[SAE]) -> bool:
    return all(
        torch.equal(a, b)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )


@pytest.fixture
def same_bits() -> Callable[[Sequence[SAE], Sequence[SAE]], bool]:
    """Whether two lists of SAEs are equal in every bit of every parameter."""
    return _same_bits


def _interrupt_at(step: int) -> Progress:
    def progress(_phase: str, done: int, _total: int, _unit: str, **_facts: float) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def interrupt_at() -> Callable[[int], Progress]:
    """A progress that interrupts training, as Ctrl-C would, after a given step."""
    return _interrupt_at
