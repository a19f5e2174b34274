"""Streams beside stores. Most run their harvest in a thread: a process takes seconds to start."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from twinsae.sae.activations import (
    ActivationStream,
    HarvestConfig,
    harvest,
    load_language_model,
    stream_process,
)
from twinsae.sae.activations.hooked_model import HookedModel
from twinsae.sae.activations.stream_worker import serve

ORDER = {"shuffle_seed": 3, "epochs": 2}
BLOCK = 150  # 600 tokens are 4 blocks, whose ends lie within batches of sequences
NAMES = ("h.0", "h.1.mlp")


@pytest.fixture
def config(model_folder: Path, tmp_path: Path) -> HarvestConfig:
    """600 activations, 64 in a forward pass."""
    letters = random.Random(0)
    text = tmp_path / "text"
    text.mkdir()
    for number in range(9):
        words = letters.choices("abcdefghijklmnopqrstuvwxy", k=90 + 7 * number)
        (text / f"{number}.txt").write_text("".join(words))
    return HarvestConfig(
        model=str(model_folder), hookpoint=NAMES, text=str(text), tokens=600, context=16,
        sequences=4, dtype="float32", skip_first=False,
    )  # fmt: skip


class ThreadInPlaceOfProcess:
    """What `subprocess.Popen` gives, for a harvest that runs in this process."""

    pid = 0

    def __init__(self, words: list[str], **_: Any) -> None:
        link, memory = Connection(os.dup(int(words[4]))), os.dup(int(words[5]))
        orders: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._pass_on, args=(link, orders), daemon=True).start()
        self._work = threading.Thread(target=serve, args=(link, memory, orders), daemon=True)
        self._work.start()

    @staticmethod
    def _pass_on(link: Connection, orders: "SimpleQueue[Any]") -> None:
        try:
            while True:
                orders.put(link.recv())
        except (EOFError, OSError):
            link.close()
            orders.put(None)

    def kill(self) -> None:
        """The link is closed, by which it ends, too."""

    def wait(self) -> int:
        self._work.join()
        return 0


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> tuple[Any, Any]:
    return load_language_model(str(model_folder))


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch, loaded: tuple[Any, Any]) -> Iterator[Mock]:
    """Let streams harvest in a thread; return what stands in for the loading of the model."""
    threads = torch.get_num_threads()
    load = Mock(return_value=loaded)
    monkeypatch.setattr(stream_process.subprocess, "Popen", ThreadInPlaceOfProcess)
    monkeypatch.setattr(sys.modules[HookedModel.__module__], "load_language_model", load)
    yield load
    torch.set_num_threads(threads)


def read(config: HarvestConfig, size: int, block: int = BLOCK, **order: Any) -> list[Any]:
    with ActivationStream(config, block_tokens=block) as stream:
        return list(stream.batches(size, **(ORDER | order)))


def stored_rows(config: HarvestConfig, out: Path) -> dict[str, Tensor]:
    """Return what `harvest` stores, in the text's order, read without the library."""
    harvest(config, out)
    return {
        name: torch.cat([load_file(f)["activations"] for f in sorted((out / name).glob("shard*"))])
        for name in NAMES
    }


def expected_batches(rows: Tensor, size: int, block: int) -> list[Tensor]:
    """Return the batches that the documented order gives."""
    batches = []
    for epoch in range(ORDER["epochs"]):
        shuffled = []
        for number, part in enumerate(rows.split(block)):
            order = np.random.default_rng([ORDER["shuffle_seed"], epoch, number])
            shuffled.append(part[order.permutation(len(part))])
        steps = len(rows) // size
        batches += torch.cat(shuffled)[: steps * size].split(size)
    return batches


@pytest.mark.usefixtures("in_thread")
@pytest.mark.parametrize(
    ("size", "block"), [(150, 150), (64, 150), (70, 600), (200, 130), (599, 7), (1, 10_000)]
)
def test_batches_are_the_stored_rows_in_the_order_of_the_blocks(
    config: HarvestConfig, tmp_path: Path, size: int, block: int
) -> None:
    rows = stored_rows(config, tmp_path / "out")
    batches = read(config, size, block)
    for name in NAMES:
        expected = expected_batches(rows[name], size, block)
        assert len(batches) == len(expected) == 2 * (600 // size)
        for batch, wanted in zip(batches, expected, strict=True):
            assert batch[name].dtype == torch.float32
            assert torch.equal(batch[name], wanted)


@pytest.mark.usefixtures("in_thread")
@pytest.mark.parametrize("start", [1, 2, 3, 7, 8, 9, 13, 17, 18, 99])
def test_a_late_start_gives_the_same_bits(config: HarvestConfig, start: int) -> None:
    # Of 64 rows each: step 7 begins within block 2, step 9 with the second epoch.
    late = read(config, 64, start_step=start)
    whole = read(config, 64)[start:]
    assert len(late) == len(whole) == max(18 - start, 0)
    for batch, other in zip(late, whole, strict=True):
        assert all(torch.equal(batch[name], other[name]) for name in NAMES)


def test_a_late_start_runs_the_model_on_nothing_before_its_block(
    config: HarvestConfig, in_thread: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Mock(wraps=HookedModel.activations)
    monkeypatch.setattr(HookedModel, "activations", lambda *args: run(*args))
    read(config, 50, start_step=3, epochs=1)  # at row 150, the beginning of a block
    places = [call.args[3] for call in run.call_args_list]
    assert places == [0, *range(128, 600, 64)]  # the first one told the widths
    assert in_thread.call_count == 1


@pytest.mark.usefixtures("in_thread")
def test_first_tokens_are_left_out_at_all_hookpoints_or_none(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks = Mock(side_effect=[False, True])
    monkeypatch.setattr(sys.modules[serve.__module__], "is_sink", sinks)
    config = replace(config, skip_first=None)
    with ActivationStream(config, block_tokens=600) as stream:
        (batch,) = stream.batches(600, shuffle_seed=3, epochs=1)
        assert stream.skip_first
    rows = stored_rows(replace(config, skip_first=True), tmp_path / "out")
    for name in NAMES:
        assert torch.equal(batch[name], expected_batches(rows[name], 600, 600)[0])


@pytest.mark.usefixtures("in_thread")
def test_the_memory_is_that_of_two_blocks_and_is_said(config: HarvestConfig) -> None:
    say = Mock()
    ActivationStream(config, block_tokens=100, say=say).close()
    assert say.call_args.args == (
        "h.0, h.1.mlp: 600 activations each, streamed in blocks of 100 tokens; "
        "2 of them take 0 MiB of memory",
    )
    need = 2 * 100 * (12 + 12) * 4
    ActivationStream(config, block_tokens=100, memory_limit=need).close()
    with pytest.raises(
        ValueError, match="block_tokens: a stream that holds 2 blocks of 100 tokens takes"
    ):
        ActivationStream(config, block_tokens=100, memory_limit=need - 1)


@pytest.mark.usefixtures("in_thread")
def test_the_harvest_waits_for_the_trainer(
    config: HarvestConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Mock(wraps=HookedModel.activations)
    monkeypatch.setattr(HookedModel, "activations", lambda *args: run(*args))
    slow = []
    with ActivationStream(config, block_tokens=64) as stream:
        batches = stream.batches(64, **ORDER)
        for done in range(1, 5):
            slow.append(next(batches))
            # What told the widths, what was read, two blocks, and what there is no room for.
            while run.call_count < done + 4:
                time.sleep(0.001)
            time.sleep(0.05)
            assert run.call_count == done + 4
    for batch, other in zip(slow, read(config, 64, 64), strict=False):
        assert torch.equal(batch["h.0"], other["h.0"])


@pytest.mark.usefixtures("in_thread")
def test_what_is_asked_for_last_is_what_is_read(config: HarvestConfig) -> None:
    with ActivationStream(config, block_tokens=BLOCK) as stream:
        old = stream.batches(64, **ORDER)
        first = next(old)
        new = stream.batches(64, **ORDER)
        assert torch.equal(next(new)["h.0"], first["h.0"])
        with pytest.raises(
            ValueError, match="these batches ended when it was closed or others were asked for"
        ):
            list(old)
        assert len(list(new)) == 17


@pytest.mark.usefixtures("in_thread")
def test_the_fingerprint_tells_what_a_stream_is_of(config: HarvestConfig, tmp_path: Path) -> None:
    def stream(config: HarvestConfig, block: int = BLOCK) -> ActivationStream:
        with ActivationStream(config, block_tokens=block) as found:
            return found

    one = stream(config)
    assert (one.widths, one.tokens, one.dtype) == ({"h.0": 12, "h.1.mlp": 12}, 600, "float32")
    moved = Path(config.text).rename(tmp_path / "moved")
    config = replace(config, text=str(moved))
    assert stream(config).fingerprint == one.fingerprint
    alone = stream(replace(config, hookpoint=("h.0",)))
    assert alone.fingerprint != one.fingerprint
    assert alone.fingerprint_of("h.0") == one.fingerprint_of("h.0") != one.fingerprint_of("h.1.mlp")
    others = [
        stream(replace(config, context=8)),
        stream(replace(config, skip_first=True)),
        stream(config, 100),
    ]
    (moved / "0.txt").write_text((moved / "0.txt").read_text() + "a")
    others.append(stream(config))
    assert len({one.fingerprint_of("h.0"), *(o.fingerprint_of("h.0") for o in others)}) == 5


@pytest.mark.usefixtures("in_thread")
def test_errors_of_the_harvest_are_those_of_the_trainer(
    config: HarvestConfig, loaded: tuple[Any, Any]
) -> None:
    with pytest.raises(ValueError, match=r"'h\.9' is no module of GPT2LMHeadModel"):
        ActivationStream(replace(config, hookpoint=("h.9",)))
    with pytest.raises(FileNotFoundError, match="no/such"):
        ActivationStream(replace(config, text="no/such"))
    for wrong in ({"block_tokens": 0}, {"threads": 0}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            ActivationStream(config, **wrong)
    with pytest.raises(ValueError, match=r"ended after 1,071 of 2,000 activations.*tokens=1071"):
        read(replace(config, tokens=2000), 64)
    with ActivationStream(config) as stream:
        for size in (0, 601):
            with pytest.raises(ValueError, match="batch_size must be between 1 and the 600"):
                stream.batches(size, **ORDER)
    weight = loaded[0].transformer.wte.weight
    saved = weight.detach().clone()
    try:
        weight.data[:] = float("nan")
        with pytest.raises(ValueError, match=r"h\.0 gave a NaN or infinite activation at token 0"):
            read(config, 64)
    finally:
        weight.data[:] = saved


@pytest.mark.usefixtures("in_thread")
def test_a_defect_of_the_harvest_is_told(
    config: HarvestConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(HookedModel, "move", Mock(side_effect=KeyError("x")))
    with pytest.raises(RuntimeError, match="the harvest failed with KeyError: 'x'"):
        ActivationStream(config)
    assert "Traceback" in capfd.readouterr().err


def ended(pid: int, seconds: float) -> bool:
    """Wait so long for the end of a process, which may be another's child."""
    stat = Path(f"/proc/{pid}/stat")
    until = time.monotonic() + seconds
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        if time.monotonic() >= until:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same_and_its_death_is_one_line(
    config: HarvestConfig, tmp_path: Path
) -> None:
    rows = stored_rows(config, tmp_path / "out")["h.0"]
    with ActivationStream(config, block_tokens=BLOCK) as stream:
        batches = stream.batches(64, **ORDER)
        for wanted in expected_batches(rows, 64, BLOCK)[:3]:
            assert torch.equal(next(batches)["h.0"], wanted)
        os.kill(stream.pid, signal.SIGKILL)
        message = rf"the process that harvests, {stream.pid}, was killed by SIGKILL; if memory"
        with pytest.raises(ChildProcessError, match=message):
            list(batches)


TRAINER = """
import os, signal, sys, time
from twinsae.sae.activations import ActivationStream, HarvestConfig
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what shells start by &
model, text = sys.argv[1:]
config = HarvestConfig(model=model, hookpoint=("h.0",), text=text, tokens=600, context=16)
stream = ActivationStream(config, block_tokens=100)
batches = stream.batches(64, shuffle_seed=0, epochs=10**6)
next(batches)
print(stream.pid, flush=True)
if os.fork() == 0:  # as a worker that holds all that its parent had open
    print(os.getpid(), flush=True)
time.sleep(1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_nothing_stays_of_a_trainer_that_is_killed(config: HarvestConfig, sent: int) -> None:
    command = [sys.executable, "-c", TRAINER, config.model, config.text]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        harvester, worker = (int(trainer.stdout.readline()) for _ in range(2))
        try:
            assert not ended(harvester, 0)
            trainer.send_signal(sent)
            trainer.wait(30)
            assert ended(harvester, 30)
        finally:
            os.kill(worker, signal.SIGKILL)
            trainer.kill()
