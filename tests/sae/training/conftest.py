"""Activations small enough to train on in a test, and ways to stop and to compare training."""

import multiprocessing
import runpy
import socket
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


SCRIPT = """
import os

os.environ |= dict(
    RANK="{rank}", WORLD_SIZE="{world}", MASTER_ADDR="127.0.0.1", MASTER_PORT="{port}"
)
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import StoredBatches, open_activations
from twinsae.sae.training import Job, open_ranks, ranks as module, share_batches, train_many

module.BEAT = 0.05
with open_ranks("cpu") as ranks:
    {body}
"""
TRAIN = """
    stores = {{name: open_activations({data!r}) for name in ("h", "target")}}
    source = StoredBatches(stores) if ranks.first else None
    source = share_batches(ranks, source)
    {before}
    try:
        train_many(source, {run!r}, {jobs}, ranks=ranks, **{{{more}}})
    except Exception as error:
        open({run!r} + f"/error{{ranks.rank}}", "w").write(f"{{type(error).__name__}}: {{error}}")
"""


@pytest.fixture
def start(tmp_path):
    """Start as many processes as are asked for, each with the body of a script."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["twinsae.sae", "torch.distributed"])
    started = []

    def start(body, world=2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for rank in range(world):
            script = tmp_path / f"{len(started)}.py"
            script.write_text(SCRIPT.format(rank=rank, world=world, port=port, body=body))
            processes.append(context.Process(target=runpy.run_path, args=(str(script),)))
            processes[-1].start()
            started.append(processes[-1])
        return processes

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def start_training(start, data, tmp_path):
    """Start the training of jobs in several processes, in a folder below `tmp_path`."""

    def start_training(run, jobs, *, world=2, before="pass", more=""):
        path = str(tmp_path / run)
        (tmp_path / run).mkdir(exist_ok=True)
        return start(
            TRAIN.format(data=str(data), run=path, jobs=jobs, before=before, more=more), world
        )

    return start_training


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file with 400 activations of width 13."""
    path = tmp_path_factory.mktemp("data") / "activations.safetensors"
    save_file({"activations": _planted(400, 13)}, path)
    return path
