"""Training on a stream that is harvested meanwhile: a stopped run goes on to the same bits."""

import numpy as np
import pytest
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import ActivationStream, HarvestConfig
from twinsae.sae.training import Job, train_many

CONFIG = TrainConfig(batch_size=50, epochs=2, lr=1e-2, warmup_steps=2, save_every=3)


@pytest.fixture
def stream(tmp_path, model_folder):
    letters = np.random.default_rng(0).integers(97, 122, size=1500, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    config = HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.0.ln_2", "h.0.mlp"),
        text=str(tmp_path / "text.txt"),
        tokens=600,
        context=12,
        sequences=4,
    )
    return lambda: ActivationStream(config, block_tokens=130)


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, stream, interrupt_at):
    plain = SAEConfig(12, 30, k=3)
    transcoder = SAEConfig(12, 30, k=3, transcode=True, normalize_decoder=False)
    jobs = [
        Job("h.0.mlp", plain, CONFIG, 0, "h.0.mlp/seed0"),
        Job("h.0.ln_2", transcoder, CONFIG, 1, "transcoder/seed1", target="h.0.mlp"),
    ]
    with stream() as source:
        train_many(source, tmp_path / "whole", jobs)
    with stream() as source, pytest.raises(KeyboardInterrupt):
        train_many(source, tmp_path / "run", jobs, progress=interrupt_at(14))
    with stream() as source:  # step 12 lies within the second epoch's first block
        train_many(source, tmp_path / "run", jobs)
    for path in sorted((tmp_path / "whole").rglob("*.safetensors")):
        other = tmp_path / "run" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == other.read_bytes(), path.name
    whole, run = ((tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "run"))
    assert whole == run
