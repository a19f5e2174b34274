"""`twinsae contexts` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.cli.main import main
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.activations import HarvestConfig, harvest
from twinsae.sae.contexts import load_corpus

D = 12


@pytest.fixture
def run(model_folder: Path, tmp_path: Path) -> Path:
    """A run folder with SAEs of two seeds, and activations with their tokens."""
    letters = np.random.default_rng(0).integers(97, 123, size=600, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    config = HarvestConfig(
        str(model_folder), ("h.0.mlp",), str(tmp_path / "text.txt"), tokens=300, context=16,
        skip_first=True,
    )  # fmt: skip
    harvest(config, tmp_path / "run/activations")
    for seed in (0, 1):
        sae = SAE(SAEConfig(D, 30, k=4), seed=seed)
        sae.encoder.bias.data[5] = -1000
        save_sae(sae, tmp_path / f"run/h.0.mlp/seed{seed}")
    return tmp_path / "run"


def test_all_saes_of_a_run(run: Path, capsys):
    store = run / "activations/h.0.mlp"
    words = ["contexts", str(run / "h.0.mlp"), "--activations", str(store)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    corpus = load_corpus(store)
    for seed in (0, 1):
        folder = run / f"h.0.mlp/seed{seed}"
        facts = json.loads((folder / "contexts.json").read_text())
        assert (facts["tokens"], facts["logit_lens"]) == (300, True)
        assert facts["corpus"]["sha256"] == corpus.facts["sha256"]
        with np.load(folder / "contexts.npz") as table:
            contexts, count = len(table["position"]), table["count"]
            assert table["top_tokens"].shape == (30, 10)
        assert count[5] == 0
        fired, silent = int((count > 0).sum()), int((count == 0).sum())
        line = f"seed{seed}: {contexts:,} contexts of {fired} latents; {silent} never fire"
        assert line in shown
    assert f"text: corpus.npz in {store}" in shown
    assert main(["list", str(run)]) == 0
    listed = capsys.readouterr().out
    assert "sparsify" in listed
    assert ".npz" not in listed  # they are no SAEs


def test_other_folders_and_no_model(run: Path, tmp_path: Path, capsys):
    store, new = run / "activations/h.0.mlp", tmp_path / "new"
    words = ["contexts", str(run / "h.0.mlp"), "--activations", str(store), "--no-logit-lens"]
    words += ["--tokens", "100", "--out", str(new), "--corpus", str(tmp_path / "text")]
    assert main(words) == 0
    facts = json.loads((new / "seed1/contexts.json").read_text())
    assert (facts["tokens"], facts["logit_lens"]) == (100, False)
    assert facts["corpus"]["path"] == str(tmp_path / "text/corpus.npz")
    assert not (store / "corpus.npz").exists()
    assert f"tables: contexts.npz in {new}" in capsys.readouterr().out


def test_errors_are_one_line(run: Path, tmp_path: Path, capsys):
    np.save(tmp_path / "a.npy", np.zeros((9, D), dtype=np.float32))
    store = run / "activations/h.0.mlp"
    file = run / "h.0.mlp/seed0/sae.safetensors"
    for words, told in (
        ([run / "h.0.mlp", "--activations", tmp_path / "a.npy"], "holds activations without their"),
        ([file, "--activations", store], "error: out: expected a folder for the tables"),
        ([run, "--activations", store, "--tokens", "0"], "error: --tokens: expected 1 or more"),
    ):
        assert main(["contexts", *map(str, words)]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
