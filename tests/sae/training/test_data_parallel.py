"""SAEs that two processes train together, each on half of every batch."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import torch
from safetensors.torch import load_file
from twinsae.sae import SAE, SAEConfig, TrainConfig
from twinsae.sae.activations import StoredBatches, open_activations
from twinsae.sae.loss import total_variance
from twinsae.sae.training import Job, train_many
from twinsae.sae.training.architectures import Batch, architecture
from twinsae.sae.training.architectures.batch_topk import batch_topk
from twinsae.sae.training.data_parallel import SplitBatchTopK, check_data_parallel, own_tokens
from twinsae.sae.training.gradients import Gradients, remove_parallel
from twinsae.sae.training.optimizer import Schedule
from twinsae.sae.training.stack import EncoderStack

CONFIG = TrainConfig(batch_size=40, lr=1e-2, save_every=4, log_every=3, dead_after=40)  # 10 steps
LATENTS = 64
"""Each process' rows are a multiple of 16 numbers: torch's fused Adam rounds a rest otherwise."""
MORE = '"data_parallel": True'


def job(activation, seed=0, sae=(), **settings):
    folder = f"h/{activation}/seed{seed}"
    shape = SAEConfig(13, LATENTS, k=4, activation=activation, **dict(sae))
    return Job("h", shape, replace(CONFIG, **settings), seed, folder)


FIRST = job("topk", aux=0.1)
JOBS = [
    FIRST,
    job("topk", 1, multi_topk=0.1, clip=0.01),
    job("topk", 2, sae={"prefixes": (8, LATENTS)}.items(), precision="bfloat16"),
    job("batch_topk", aux=0.1),
    job("groupmax"),
    job("relu", sparsity=1.0, input_scale="sqrt_d"),
    job("gated", sparsity=0.2, init="data"),
    job("jumprelu", sparsity=0.2, bandwidth=0.5, pre_act=0.1),
]


TRANSCODER = SAEConfig(
    13, LATENTS, k=4, transcode=True, skip_connection=True, normalize_decoder=False
)
JOBS.append(Job("h", TRANSCODER, CONFIG, 0, "h/transcoder/seed0", target="target"))


def stores(data):
    return StoredBatches({name: open_activations(data) for name in ("h", "target")})


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The folder of a run of `JOBS` in this process."""
    run = tmp_path_factory.mktemp("alone")
    train_many(stores(data), run, JOBS)
    return run


def batches(data):
    source = stores(data)
    return [each["h"] for each in source.batches(40, shuffle_seed=42, epochs=1)]


@torch.no_grad()
def train_by_halves(one, data):
    """Return what Adam makes of the sum of each batch's two halves' gradients, by name."""
    sae = SAE(one.sae, seed=one.seed)
    found = architecture(one.sae, one.config)
    silent = torch.zeros(LATENTS, dtype=torch.int64)
    schedule = Schedule(one.config, LATENTS, 10)
    adam = torch.optim.Adam(sae.parameters(), fused=True)
    for step, x in enumerate(batches(data)):
        if step == 0:
            sae.b_dec.copy_(x.mean(dim=0))
        silent_before, fired, sums = silent >= 40, 0, {}
        for half in x.chunk(2):
            gradients = Gradients(sae)
            (stacked,) = EncoderStack([sae]).encode(half, found.stacked_k)
            batch = Batch(half, half, total_variance(x), silent_before, 0.0)
            fired = fired + found.backward(sae, batch, stacked, gradients).fired
            for name, gradient in gradients.written().items():
                sums[name] = gradient if name not in sums else sums[name] + gradient
        remove_parallel(sums["W_dec"], sae.W_dec)
        for name, parameter in sae.named_parameters():
            parameter.grad = sums[name]
        adam.param_groups[0]["lr"] = schedule.lr(step)
        adam.step()
        sae.normalize_decoder()
        silent = (silent + 40).masked_fill(fired > 0, 0)
    return dict(sae.named_parameters())


def weights(run, one):
    return load_file(run / one.folder / "sae.safetensors")


def whole_state(run, one):
    return load_file(run / one.folder / "checkpoint.safetensors")


def assert_close(found, expected):
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=2e-4)


def join(processes):
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def files(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def test_two_processes_take_the_step_of_two_halves_added_up(start_training, alone, data, tmp_path):
    assert join(start_training("run", JOBS, more=MORE)) == [0, 0]
    run = tmp_path / "run"
    assert not [*run.glob("error*")]
    state = whole_state(run, JOBS[0])
    for name, expected in train_by_halves(JOBS[0], data).items():
        assert torch.equal(state[name], expected), name
    for one in JOBS:
        found, expected = weights(run, one), weights(alone, one)
        assert_close(found, expected)
        found, expected = whole_state(run, one), whole_state(alone, one)
        assert {n: x.shape for n, x in found.items()} == {n: x.shape for n, x in expected.items()}
    lines = [(each / "log.jsonl").read_text().splitlines() for each in (run, alone)]
    assert sum(json.loads(line).get("auxk_loss", 0) > 0 for line in lines[0]) > 1
    for found, expected in zip(*(map(json.loads, each) for each in lines), strict=True):
        assert found.pop("sae") == expected.pop("sae")
        assert found.pop("hookpoint") == expected.pop("hookpoint")
        assert found == pytest.approx(expected, rel=5e-3, abs=1e-5)  # bfloat16 among them
    assert (run / "initial.json").read_bytes() == (alone / "initial.json").read_bytes()


def test_a_stopped_run_goes_on_to_the_same_bits_and_one_process_can_go_on_with_it(
    start_training, alone, data, tmp_path
):
    assert join(start_training("whole", JOBS, more=MORE)) == [0, 0]
    stop = ', "stop": lambda: ranks.rank == 1 and next(answers)'
    before = "answers = iter([False] * 5 + [True])"
    join(start_training("run", JOBS, before=before, more=MORE + stop))
    for rank in range(2):
        error = tmp_path / f"run/error{rank}"
        assert error.read_text() == "StoppedError: training was stopped at step 6 of 10, and saved"
        error.unlink()
    shutil.copytree(tmp_path / "run", tmp_path / "one")
    assert join(start_training("run", JOBS, more=MORE)) == [0, 0]
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    train_many(stores(data), tmp_path / "one", JOBS)
    for one in JOBS:
        assert_close(weights(tmp_path / "one", one), weights(alone, one))


def test_after_a_killed_process_the_same_command_goes_on_to_the_same_bits(start_training, tmp_path):
    assert join(start_training("whole", [FIRST], more=MORE)) == [0, 0]
    run = tmp_path / "run"
    # Killed in step 7, and then in step 9. Neither process has the whole state of a later step.
    for lost, steps, saved in ((1, 6, 4), (0, 4, 8)):
        kill = f"ranks.rank == {lost} and next(answers) and os.kill(os.getpid(), 9)"
        before = f"answers = iter([False] * {steps} + [True])"
        processes = start_training(
            "run", [FIRST], before=before, more=f'{MORE}, "stop": lambda: {kill}'
        )
        assert join(processes)[lost] == -9
        error = run / f"error{1 - lost}"
        assert error.read_text() == (
            "LostProcessError: another process of the run ended, or cannot be reached; "
            "the last checkpoints stand, and the same command goes on"
        )
        error.unlink()
        state = (run / FIRST.folder / "checkpoint.safetensors").read_bytes()
        assert f'"step":"{saved}"'.encode() in state
    assert join(start_training("run", [FIRST], more=MORE)) == [0, 0]
    assert files(run) == files(tmp_path / "whole")


class Threads:
    """Two threads that stand for two processes."""

    def __init__(self, rank, given, barrier):
        self.rank, self.world = rank, 2
        self._given, self._barrier = given, barrier

    def gather(self, mine):
        self._given[self.rank] = mine
        self._barrier.wait(60)
        found = [*self._given]
        self._barrier.wait(60)
        return found


@pytest.mark.parametrize("floor", [None, 0.5, 1.9])  # 1.9 is too high a guess
@pytest.mark.parametrize("k", [1, 3, 7])
def test_shares_of_a_batch_choose_what_the_whole_batch_does(floor, k):
    generator = torch.Generator().manual_seed(k)
    x = torch.randint(-1, 2, (9, 4), generator=generator).float()  # many equal scores
    weight = torch.randint(-1, 2, (20, 4), generator=generator).float()
    given, barrier = [None, None], Barrier(2)

    def choose(rank):
        config = TrainConfig(batch_size=9)
        kind = SplitBatchTopK(
            SAEConfig(4, 20, k=k, activation="batch_topk"), config, Threads(rank, given, barrier)
        )
        rows = own_tokens(kind._ranks, 9)
        return kind.choose_above(x[rows], weight, torch.zeros(20), floor)

    with ThreadPoolExecutor(2) as threads:
        parts = [*threads.map(choose, range(2))]
    expected = batch_topk(x, weight, torch.zeros(20), k * 9)
    assert torch.equal(torch.cat([part.values for part in parts]), expected.values)
    assert torch.equal(torch.cat([part.places.indices for part in parts]), expected.places.indices)
    counts = torch.cat([part.places.row_offsets.diff() for part in parts])
    assert torch.equal(counts, expected.places.row_offsets.diff())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (job("topk", optimizer="muon"), "only with the optimizer adam and moments in float32"),
        (job("topk", moments="bfloat16"), "only with the optimizer adam and moments in float32"),
    ],
)
def test_what_cannot_be_shared_is_refused(wrong, message):
    with pytest.raises(ValueError, match=rf"^data_parallel: {message}"):
        check_data_parallel([FIRST, wrong], 2)


def test_a_number_of_processes_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="data_parallel: 64 latents do not divide among 3 proc"):
        check_data_parallel([FIRST], 3)
    with pytest.raises(ValueError, match="batch_size: 2 activations are fewer than 4 processes"):
        check_data_parallel([job("topk", batch_size=2)], 4)
