"""`twinsae evaluate` as a user runs it: tables, the JSON file, errors in one line."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import HarvestConfig, open_activations
from twinsae.sae.evaluation import evaluate_model, evaluate_store

D = 12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with SAEs of two seeds, one of them in bfloat16."""
    for seed, dtype in enumerate((torch.float32, torch.bfloat16)):
        sae = SAE(SAEConfig(D, 30, k=4), seed=seed, dtype=dtype)
        save_sae(sae, tmp_path / f"run/h.0.mlp/seed{seed}")
    return tmp_path / "run"


@pytest.fixture
def activations(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(300, D)).astype(np.float32)
    rows[7] *= 300
    np.save(tmp_path / "a.npy", rows)
    return tmp_path / "a.npy"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    letters = np.random.default_rng(1).integers(97, 122, size=300, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    return tmp_path / "text.txt"


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


def test_a_run_on_stored_activations(run: Path, activations: Path, tmp_path: Path, capsys):
    out = tmp_path / "new/results.json"
    assert evaluate(run, "--activations", activations, "--out", out) == 0
    document = json.loads(out.read_text())
    saes = {f"seed{n}": load_sae(run / f"h.0.mlp/seed{n}").float() for n in (0, 1)}
    expected = evaluate_store(saes, open_activations(activations))
    assert {name: facts["measured"] for name, facts in document["saes"].items()} == {
        name: asdict(measured) for name, measured in expected.items()
    }
    assert document["activations"] == str(activations)
    assert document["saes"]["seed1"]["path"] == str(run / "h.0.mlp/seed1")
    assert "spliced" not in document["saes"]["seed0"]
    shown = capsys.readouterr().out
    for measured in expected.values():
        assert f"{measured.fvu:.4f}" in shown
        assert f"{measured.fvu_without_outliers:.4f}" in shown
    assert "without 1 tokens whose norm is over 10 times the median" in shown
    assert f"result: {out}" in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_a_model(run: Path, text: Path, model_folder: Path, tmp_path: Path, capsys):
    out = tmp_path / "results.json"
    words = ["--model", model_folder, "--hookpoint", "h.0.mlp", "--text", text, "--context", 16]
    words += ["--tokens", 100, "--skip-first", "no", "--dtype", "float32", "--out", out]
    assert evaluate(run / "h.0.mlp/seed0", *words) == 0
    document = json.loads(out.read_text())
    config = HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.0.mlp",),
        text=str(text),
        tokens=100,
        context=16,
        sequences=4,
        dtype="float32",
        skip_first=False,
    )
    expected = evaluate_model({"seed0": load_sae(run / "h.0.mlp/seed0")}, config)
    found = document["saes"]["seed0"]
    assert found["measured"] == asdict(expected.measured["seed0"])
    assert found["spliced"] == asdict(expected.spliced["seed0"])
    assert document["model"]["bos"] is None
    assert document["model"]["text"] == str(text)
    shown = capsys.readouterr().out
    spliced = expected.spliced["seed0"]
    for number in (spliced.ce_original, spliced.ce_zero, spliced.kl_mean, spliced.kl_sae):
        assert f"{number:.4f}" in shown
    for share in (
        "ce_recovered_zero",
        "ce_recovered_mean",
        "kl_recovered_zero",
        "kl_recovered_mean",
    ):
        assert f"{getattr(spliced, share):.2%}" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80
    assert "predictions of 105 tokens" in shown  # 7 sequences of 16, with 15 next tokens each


def test_numbers_that_json_has_not_become_null(run: Path, tmp_path: Path):
    np.save(tmp_path / "equal.npy", np.ones((9, D), np.float32))
    out = tmp_path / "results.json"
    assert evaluate(run, "--activations", tmp_path / "equal.npy", "--out", out) == 0
    text = out.read_text()
    assert json.loads(text)["saes"]["seed0"]["measured"]["fvu"] is None
    assert "Infinity" not in text
    assert "NaN" not in text


def test_a_transcoder_and_its_target(activations: Path, tmp_path: Path, capsys):
    save_sae(SAE(SAEConfig(D, 30, k=4, transcode=True), seed=0), tmp_path / "t")
    np.save(tmp_path / "y.npy", np.load(activations)[:, ::-1].copy())
    out = tmp_path / "results.json"
    words = [tmp_path / "t", "--activations", activations, "--out", out]
    assert evaluate(*words, "--target", tmp_path / "y.npy") == 0
    against_target = json.loads(out.read_text())
    assert "give what they" not in capsys.readouterr().out
    assert evaluate(*words) == 0
    against_input = json.loads(out.read_text())
    assert "t: no b_dec is subtracted from the input" in capsys.readouterr().out
    fvus = {found["saes"]["t"]["measured"]["fvu"] for found in (against_target, against_input)}
    assert len(fvus) == 2
    assert against_target["target"] == str(tmp_path / "y.npy")


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    run: Path, activations: Path, tmp_path: Path, capsys, monkeypatch
):
    out = tmp_path / "results.json"
    out.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert evaluate(run, "--activations", activations, "--out", out) == 2
    assert f"error: [Errno 28] cannot write {out}" in capsys.readouterr().err
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".results*"))


def test_what_does_not_fit_is_one_line(run: Path, activations: Path, tmp_path: Path, capsys):
    save_sae(SAE(SAEConfig(7, 30, k=4), seed=0), tmp_path / "other")
    save_sae(SAE(SAEConfig(D, 30, k=4, transcode=True, d_out=5), seed=0), tmp_path / "trans")
    broken = SAE(SAEConfig(D, 30, k=4), seed=0)
    broken.b_dec.data[2] = math.nan
    save_sae(broken, tmp_path / "broken")
    for name, message in {
        "other": "other reads activations of width 7, but those of",
        "trans": "trans is a transcoder: it needs a target, what it reconstructs",
        "broken": "broken: the reconstruction of token 0 is NaN or infinite",
    }.items():
        assert evaluate(tmp_path / name, run, "--activations", activations) == 2
        out, err = capsys.readouterr()
        assert err.startswith(f"error: {message}")
        assert err.count("\n") == 1
        assert "FVU" not in out
