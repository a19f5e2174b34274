"""`twinsae fire` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.sae import SAE, SAEConfig, save_sae

D = 12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with SAEs of two seeds, and activations beside it."""
    for seed, dtype in enumerate((torch.float32, torch.bfloat16)):
        sae = SAE(SAEConfig(D, 30, k=4), seed=seed, dtype=dtype)
        sae.encoder.bias.data[5] = -1000
        save_sae(sae, tmp_path / f"run/h.0.mlp/seed{seed}")
    rows = np.random.default_rng(0).normal(size=(300, D)).astype(np.float32)
    np.save(tmp_path / "a.npy", rows)
    return tmp_path / "run"


def test_all_saes_of_a_run(run: Path, tmp_path: Path, capsys):
    words = ["fire", str(run), "--activations", str(tmp_path / "a.npy")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "Firing on 300 tokens" in shown
    for seed in (0, 1):
        folder = run / f"h.0.mlp/seed{seed}"
        assert json.loads((folder / "firing.json").read_text())["tokens"] == 300
        with np.load(folder / "firing.npz") as table:
            count = table["count"]
            assert table["latent"].tolist() == list(range(30))
        assert count[5] == 0
        assert f"{count.sum() / 300:.1f}" in shown
        assert f"{count.max() / 300:.1%}" in shown
    assert main([*words, "--tokens", "100", "--out", str(tmp_path / "new")]) == 0
    found = json.loads((tmp_path / "new/seed1/firing.json").read_text())
    assert (found["tokens"], found["activations"]["rows"]) == (100, 300)
    capsys.readouterr()
    assert main(["list", str(run)]) == 0
    assert "firing" not in capsys.readouterr().out  # it is no SAE


def test_errors_are_one_line(run: Path, tmp_path: Path, capsys):
    file = run / "h.0.mlp/seed0/sae.safetensors"
    for words, told in (
        ([str(file)], "error: out: expected a folder for the tables"),
        ([str(run), "--tokens", "0"], "error: --tokens: expected 1 or more, got 0"),
    ):
        assert main(["fire", *words, "--activations", str(tmp_path / "a.npy")]) == 2
        err = capsys.readouterr().err
        assert err.startswith(told)
        assert err.count("\n") == 1
    assert main(["fire", str(run)]) == 2
    assert "--activations" in capsys.readouterr().err
