"""From two SAEs and a store to a folder: codes, matching, agreement and summary."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.matching import (
    Matching,
    agreement,
    encode_store,
    match_activation_files,
    match_files,
)
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import open_activations

TOKENS = 300


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two SAEs of 24 and 31 latents, half of which are alike, and a store of activations."""
    folder = tmp_path_factory.mktemp("inputs")
    first = SAE(SAEConfig(d_in=8, num_latents=24, k=3), seed=0)
    second = SAE(SAEConfig(d_in=8, num_latents=31, k=3), seed=1)
    with torch.no_grad():
        second.encoder.weight[5:17] = first.encoder.weight[:12]
        second.W_dec[5:17] = first.W_dec[:12]
    save_sae(first, folder / "a")
    save_sae(second, folder / "b")
    rows = np.random.default_rng(0).standard_normal((TOKENS, 8)).astype(np.float32)
    np.save(folder / "store.npy", rows)
    return folder / "a", folder / "b", folder / "store.npy"


def dense(sae: SAE, rows: np.ndarray) -> np.ndarray:
    """Activations (N, L) by the definition of a TopK SAE."""
    x = torch.from_numpy(rows)
    scores = torch.relu((x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias)
    kept = scores.topk(sae.config.k, dim=1)
    return torch.zeros_like(scores).scatter(1, kept.indices, kept.values).detach().numpy()


@pytest.mark.parametrize("tokens", [None, 70])
def test_codes_are_those_of_the_sae(inputs: tuple[Path, Path, Path], tokens: int | None):
    sae, store = load_sae(inputs[0]), open_activations(inputs[2])
    codes = encode_store(sae, store, tokens=tokens)
    expected = dense(sae, np.load(inputs[2]))[:tokens]
    offsets, tokens_of, values = codes.by_latent()
    found = np.zeros_like(expected)
    found[tokens_of, np.repeat(np.arange(24), np.diff(offsets))] = values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_codes_of_an_sae_with_a_threshold(inputs: tuple[Path, Path, Path]):
    sae = SAE(SAEConfig(d_in=8, num_latents=24, k=3, activation="relu"), seed=0)
    codes = encode_store(sae, open_activations(inputs[2]))
    x = torch.from_numpy(np.load(inputs[2]))
    scores = torch.relu((x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias)
    np.testing.assert_array_equal(codes.fired, (scores > 0).sum(0))
    np.testing.assert_allclose(codes.total, scores.double().sum(0).detach(), rtol=1e-5)


def test_stores_that_do_not_fit_are_refused(inputs: tuple[Path, Path, Path], tmp_path: Path):
    np.save(tmp_path / "wide.npy", np.ones((4, 9), dtype=np.float32))
    sae = load_sae(inputs[0])
    with pytest.raises(ValueError, match=r"reads activations of width 8, but those of .* width 9"):
        encode_store(sae, open_activations(tmp_path / "wide.npy"))
    with pytest.raises(ValueError, match="expected one token or more, got 0"):
        encode_store(sae, open_activations(inputs[2]), tokens=0)


def test_the_folder_says_what_was_matched_and_where_both_agree(
    inputs: tuple[Path, Path, Path], tmp_path: Path
):
    a, b, store = inputs
    match_files(a, b, ("decoder",), tmp_path)
    summary = match_activation_files(a, b, store, tmp_path, measure="pearson", verify=True)
    assert json.loads((tmp_path / "activations.json").read_text()) == summary
    for name, folder in (("a", a), ("b", b)):
        digest = hashlib.sha256((folder / "sae.safetensors").read_bytes()).hexdigest()
        assert summary["inputs"][name]["sha256"] == digest
    assert summary["store"]["tokens"] == TOKENS
    assert summary["certified"] is True
    assert summary["verified"]["valid"] is True
    rows = np.load(store)
    first, second = (dense(load_sae(folder), rows) for folder in (a, b))
    with np.load(tmp_path / "activations.npz") as stored:
        matching, together = Matching.load(tmp_path / "activations.npz"), stored["together"]
    both = (first[:, matching.rows] != 0) & (second[:, matching.cols] != 0)
    np.testing.assert_array_equal(together, both.sum(axis=0))
    assert summary["pairs"] == np.count_nonzero(together)
    assert summary["unmatched"] == 24 - summary["pairs"]
    correlation = np.corrcoef(first.T.astype(float), second.T.astype(float))[:24, 24:]
    np.testing.assert_allclose(
        matching.cosine, np.nan_to_num(correlation[matching.rows, matching.cols]), atol=1e-6
    )
    decoder = Matching.load(tmp_path / "decoder.npz")
    same = np.count_nonzero((matching.cols == decoder.cols) & (together > 0))
    assert set(summary["agreement"]) == {"decoder"}
    assert summary["agreement"]["decoder"]["same"] == same >= 8
    # A match of other SAEs in this folder leaves nothing of the old one.
    match_files(b, b, ("decoder",), tmp_path)
    assert not list(tmp_path.glob("activations.*"))
    # A folder with the matching of other SAEs is refused, before anything is written.
    with pytest.raises(ValueError, match="expected a matching of 24 latents, got one of 31"):
        match_activation_files(a, b, store, tmp_path)
    assert not list(tmp_path.glob("activations.*"))


def of(cols: list[int], cosine: list[float], num_cols: int) -> Matching:
    zeros = np.zeros(len(cols))
    return Matching(
        rows=np.arange(len(cols)), cols=np.array(cols), cosine=np.array(cosine), row_price=zeros,
        col_price=np.zeros(num_cols), row_max=zeros, col_max=np.zeros(num_cols), objective=0,
        upper_bound=0,
    )  # fmt: skip


def test_agreement_of_hand_made_matchings():
    by_activations = of([4, 1, 2, 0], [0.95, 0.31, 0.0, -0.2], 5)
    by_weights = of([4, 2, 1, 0], [1.0, 0.35, 0.55, 0.05], 5)
    together = np.array([7, 2, 0, 1])
    expected = agreement(by_activations, together, by_weights)
    assert (expected["pairs"], expected["same"]) == (3, 2)  # the third is never active together
    assert expected["by_weights"]["pairs"] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert expected["by_weights"]["same"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert expected["by_activations"]["pairs"] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert expected["by_activations"]["from"] == [place / 10 for place in range(10)]
    # The same from the other side, whose latents are more.
    turned = by_activations.swapped()
    order = np.argsort(by_activations.cols)
    assert agreement(turned, together[order], by_weights.swapped()) == expected


def test_the_command_prints_both_and_refuses_half_of_the_options(
    inputs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    a, b, store = map(str, inputs)
    words = ["match", a, b, "--out", str(tmp_path / "out")]
    given = ["--by", "activations", "--store", store, "--tokens", "200", "--verify"]
    assert main([*words, *given]) == 0
    out = capsys.readouterr().out
    assert "Exact matching by activations" in out
    assert "Same partner by activations and by decoder" in out
    assert "Same partner by activations and by encoder" in out
    summary = json.loads((tmp_path / "out" / "activations.json").read_text())
    assert summary["store"]["tokens"] == 200
    for half in (["--by", "activations"], ["--store", store]):
        assert main([*words, *half]) == 2
        assert "store: expected" in capsys.readouterr().err
