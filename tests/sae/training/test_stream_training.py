"""Training on a stream that is harvested meanwhile: a stopped run goes on to the same bits."""

import numpy as np
import pytest
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import ActivationStream, HarvestConfig
from twinsae.sae.training import Job, train_many

CONFIG = TrainConfig(batch_size=50, epochs=2, lr=1e-2, warmup_steps=2, save_every=3)


JOBS = [
    Job("h.0.mlp", SAEConfig(12, 30, k=3), CONFIG, 0, "h.0.mlp/seed0"),
    Job(
        "h.0.ln_2", SAEConfig(12, 30, k=3, transcode=True, normalize_decoder=False), CONFIG, 1,
        "transcoder/seed1", target="h.0.mlp",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory, model_folder):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    letters = np.random.default_rng(0).integers(97, 122, size=1500, dtype=np.uint8)
    path.write_bytes(letters.tobytes())
    return HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.0.ln_2", "h.0.mlp"),
        text=str(path),
        tokens=600,
        context=12,
        sequences=4,
    )


@pytest.fixture(scope="module")
def stream(config):
    return lambda: ActivationStream(config, block_tokens=130)


@pytest.fixture(scope="module")
def whole(stream, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    with stream() as source:
        train_many(source, run, JOBS)
    return run


def assert_same(run, whole):
    for path in sorted(whole.rglob("*.safetensors")):
        assert path.read_bytes() == (run / path.relative_to(whole)).read_bytes(), path.name
    assert (run / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, stream, whole, interrupt_at):
    with stream() as source, pytest.raises(KeyboardInterrupt):
        train_many(source, tmp_path / "run", JOBS, progress=interrupt_at(14))
    with stream() as source:  # step 12 lies within the second epoch's first block
        train_many(source, tmp_path / "run", JOBS)
    assert_same(tmp_path / "run", whole)


OVER_PROCESSES = """
    from contextlib import ExitStack
    from twinsae.sae.activations import ActivationStream, HarvestConfig

    with ExitStack() as stack:
        stream = ranks.on_first(
            lambda: stack.enter_context(ActivationStream({config}, block_tokens=130))
        )
        train_many(share_batches(ranks, stream), {run!r}, {jobs}, ranks=ranks)
"""


def test_one_process_harvests_for_all(tmp_path, config, whole, start):
    run = tmp_path / "run"
    for process in start(OVER_PROCESSES.format(config=config, run=str(run), jobs=JOBS)):
        process.join(120)
        assert process.exitcode == 0
    assert_same(run, whole)
