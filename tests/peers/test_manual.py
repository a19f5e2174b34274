"""The examples of README and manual that need other people's trainers, as they stand."""

import re
from pathlib import Path

import pytest
import sae_lens
import torch
from datasets import Dataset
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sparsify import SaeConfig, TrainConfig
from transformers import GPT2Config, GPT2LMHeadModel
from twinsae.sae import load_sae
from twinsae.sae.plug import sparsify

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]
TEXT = "".join(page.read_text() for page in (ROOT / "README.md", ROOT / "docs/guides/plug.md"))


def example(word):
    """The Python block that has this word; where two pages have it, they have the same."""
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (found,) = {block for block in blocks if word in block}
    return compile(found, word, "exec")


def batches():
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randn(64, 576, generator=generator)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_sparsify():
    tokens = torch.randint(50, (8, 16), generator=torch.Generator().manual_seed(0))
    config = TrainConfig(
        SaeConfig(num_latents=128, k=4), batch_size=2, hookpoints=["h.0"], log_to_wandb=False
    )
    gpt2 = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=1, n_head=2)
    namespace = {
        "config": config,
        "dataset": Dataset.from_dict({"input_ids": tokens.tolist()}).with_format("torch"),
        "model": GPT2LMHeadModel(gpt2),
    }
    exec(example("sparsify.Trainer"), namespace)
    assert not sparsify.enabled
    assert load_sae("checkpoints/unnamed/h.0").config.num_latents == 128


def test_saelens():
    settings = dict.fromkeys(("lr_warm_up_steps", "lr_decay_steps", "n_checkpoints"), 0)
    trainer_config = SAETrainerConfig(
        total_training_samples=640,
        train_batch_size_samples=64,
        lr=1e-3,
        lr_end=1e-3,
        lr_scheduler_name="constant",
        n_restart_cycles=1,
        adam_beta1=0.9,
        adam_beta2=0.999,
        dead_feature_window=5,
        feature_sampling_window=1000,
        n_batches_for_norm_estimate=1,
        checkpoint_path="run",
        save_final_checkpoint=True,
        device="cpu",
        autocast=False,
        logger=LoggingConfig(log_to_wandb=False),
        **settings,
    )
    sae_config = sae_lens.TopKTrainingSAEConfig(d_in=576, d_sae=1152, k=8)
    namespace = {"trainer_config": trainer_config, "sae_config": sae_config, "batches": batches()}
    exec(example("SAETrainer"), namespace)
    assert type(namespace["sae"]) is not sae_lens.TopKTrainingSAE
    assert load_sae("run/final_640").config.k == 8


def test_dictionary_learning():
    exec(example("FastTopKTrainer"), {"batches": batches()})
    assert load_sae("run/trainer_0").config.num_latents == 4608
