"""What the manual's examples expect: a run of three seeds, a model, a text, activations."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from twinsae.sae import SAEConfig, TrainConfig, train
from twinsae.sae.activations import open_activations

D_IN = 16
COMMIT = "c0ffee" + "0" * 34


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files under the names that the manual uses."""
    folder = tmp_path_factory.mktemp("manual")
    numbers = np.random.default_rng(0)
    np.save(folder / "activations.npy", numbers.normal(size=(600, D_IN)).astype(np.float32))
    store = open_activations(folder / "activations.npy")
    shape = SAEConfig(d_in=D_IN, num_latents=40, k=4)
    settings = TrainConfig(seeds=(0, 1, 2), batch_size=100)
    train(store, folder / "runs" / "gpt2", "h.6.mlp", shape, settings)
    for same in ("runs/a", "runs/demo/layers.15.mlp"):
        shutil.copytree(folder / "runs/gpt2/h.6.mlp", folder / same)
    letters = numbers.integers(97, 122, size=700, dtype=np.uint8)
    (folder / "corpus.txt").write_bytes(letters.tobytes())
    _save_model(folder / "openai-community" / "gpt2")
    _save_hub(folder)
    return folder


@pytest.fixture
def manual_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test stands."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _push_nowhere(monkeypatch)
    return folder


def _push_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a push find no repository on the Hub, make it, and send it nothing."""
    pushing = "twinsae.sae.hub.pushing"
    for name in (f"{pushing}.check_writable", "twinsae.sae.push.check_writable"):
        monkeypatch.setattr(name, lambda _repo, _options: None)
    monkeypatch.setattr(f"{pushing}.read_remote", lambda _repo, _kind, _options: None)
    for name in ("create", "commit"):
        monkeypatch.setattr(f"{pushing}.{name}", lambda *_, **__: None)


def _save_model(folder: Path) -> None:
    """Write a random GPT-2 of 7 layers that reads single letters, where the Hub's name leads."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    config = transformers.GPT2Config(
        vocab_size=27, n_positions=256, n_embd=12, n_layer=7, n_head=2, eos_token_id=26
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    vocabulary = {chr(97 + i): i for i in range(26)} | {"<eos>": 26}
    letters = Tokenizer(models.WordLevel(vocabulary, "a"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, eos_token="<eos>"
    ).save_pretrained(folder)


def _save_hub(folder: Path) -> None:
    """Write SAEs where the Hub's names in the manual lead: to a path, and to the client's cache."""
    shutil.copytree(folder / "runs/a/seed0", folder / "EleutherAI/sae-pythia-160m-32k/layers.6.mlp")
    repository = folder / "hub/models--EleutherAI--sae_overlap"
    for seed in (2, 3):
        place = f"snapshots/{COMMIT}/k32-sae-mlp-32k-seed{seed}/layers.6.mlp"
        shutil.copytree(folder / "runs/a/seed0", repository / place)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
