"""The null of a match by activations, against dense arrays whose rows are put in another order."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from twinsae.cli.main import main
from twinsae.matching import (
    Codes,
    Matching,
    encode_store,
    match_activation_files,
    match_files,
    verify_activations,
)
from twinsae.matching.by_activations.null import match_shuffled
from twinsae.matching.by_activations.shuffle import shuffled_tokens
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import open_activations

TOKENS, STORED = 200, 230  # the last 30 tokens are left out
SEED = 7


def dense(codes: Codes) -> np.ndarray:
    """Activations (N, L)."""
    token = np.repeat(np.arange(codes.tokens), np.diff(codes.offsets))
    found = np.zeros((codes.tokens, codes.num_latents))
    found[token, codes.latents] = codes.values
    return found


@pytest.mark.parametrize("tokens", [1, 2, 37])
def test_tokens_change_places_and_nothing_else_changes(tokens: int):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, tokens)
    counts[0] = 0  # a token without latents
    latents = np.concatenate([np.zeros(0, int), *(rng.permutation(9)[:n] for n in counts)])
    codes = Codes(np.append(0, np.cumsum(counts)), latents, rng.random(len(latents)) + 0.1, 9)
    found = shuffled_tokens(codes, SEED)
    order = np.random.default_rng(SEED).permutation(tokens)
    np.testing.assert_array_equal(dense(found), dense(codes)[order])
    np.testing.assert_array_equal(found.fired, codes.fired)
    np.testing.assert_allclose(found.squares, codes.squares, rtol=1e-12)
    if tokens == 37:
        assert (dense(shuffled_tokens(codes, SEED + 1)) != dense(found)).any()


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A match by Pearson correlation of SAEs of 20 and 26 latents; B has 15 of A's."""
    folder = tmp_path_factory.mktemp("shuffled")
    first, second = (SAE(SAEConfig(8, size, k=3), seed=size) for size in (20, 26))
    with torch.no_grad():
        for sae, size in ((first, 20), (second, 26)):
            sae.encoder.bias.copy_(torch.linspace(-0.9, 0.3, size))  # some latents are rare
        second.encoder.bias[5:20] = first.encoder.bias[:15]
        second.encoder.weight[5:20] = first.encoder.weight[:15]
        second.W_dec[5:20] = first.W_dec[:15]
    save_sae(first, folder / "a")
    save_sae(second, folder / "b")
    rows = np.random.default_rng(1).standard_normal((STORED, 8)).astype(np.float32)
    np.save(folder / "store.npy", rows)
    a, b, store = (folder / name for name in ("a", "b", "store.npy"))
    match_files(a, b, ("decoder",), folder / "match")
    match_activation_files(
        a, b, store, folder / "match", tokens=TOKENS, measure="pearson", verify=True
    )
    return folder / "match"


def test_the_null_is_optimal_for_the_shuffled_tokens(match: Path, tmp_path: Path):
    found = match_shuffled(match, tmp_path, seed=SEED)
    store = open_activations(match.parent / "store.npy")
    a, b = (encode_store(load_sae(match.parent / name), store, tokens=TOKENS) for name in "ab")
    sides = dense(a), dense(b)[np.random.default_rng(SEED).permutation(TOKENS)]
    with np.errstate(invalid="ignore"):  # some latents are never active
        similarity = np.nan_to_num(np.corrcoef(*(side.T for side in sides))[:20, 20:])
    best = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
    assert found.null["objective"] == pytest.approx(best, abs=1e-9)
    assert found.null["certified"] is found.null["verified"]["valid"] is True
    matching = Matching.load(tmp_path / "activations.npz")
    assert verify_activations(a, shuffled_tokens(b, SEED), matching, measure="pearson").valid
    assert not verify_activations(a, b, matching, measure="pearson").valid
    assert found.null["settings"] == found.match["settings"] | {"shuffle": SEED}
    assert found.null["inputs"] == found.match["inputs"]  # as active as before
    # The planted latents are gone.
    assert found.match["mean_similarity"] > 2 * found.null["mean_similarity"]


def test_pairs_are_counted_above_each_similarity(match: Path, tmp_path: Path):
    found = match_shuffled(match, tmp_path, seed=SEED)
    told = json.loads((tmp_path / "null.json").read_text())
    b = {name: found.match["inputs"]["b"][name] for name in ("path", "sha256")}
    expected = {"kind": "shuffled", "seed": SEED, "tokens_often": 10, "pairs": found.pairs, "of": b}
    assert told == expected
    for name, folder in (("match", match), ("null", tmp_path)):
        with np.load(folder / "activations.npz") as stored:
            similarity, together = stored["cosine"], stored["together"]
        assert 0 < (together >= 10).sum() < (together > 0).sum()
        for step, row in enumerate(found.pairs):
            above = similarity > step / 10
            assert row["similarity"] == step / 10
            assert row[name] == (above & (together > 0)).sum()
            assert row[f"{name}_often"] == (above & (together >= 10)).sum()
    assert found.pairs[6]["match_often"] > 4 > found.pairs[6]["null_often"] == 0


def test_what_is_wrong_is_named(match: Path, tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(FileNotFoundError, match=r"no activations\.json: run `twinsae match --by"):
        match_shuffled(tmp_path, out)
    with pytest.raises(ValueError, match="out: expected another folder than that of the match"):
        match_shuffled(match, match.parent / "a" / ".." / "match")
    with pytest.raises(ValueError, match="seed: expected 0 or more, got -1"):
        match_shuffled(match, out, seed=-1)
    # A match whose second SAE is another one by now.
    changed = tmp_path / "match"
    shutil.copytree(match, changed)
    summary = json.loads((changed / "activations.json").read_text())
    summary["inputs"]["b"]["path"] = summary["inputs"]["a"]["path"]
    (changed / "activations.json").write_text(json.dumps(summary))
    with pytest.raises(ValueError, match="has changed since the match: match again"):
        match_shuffled(changed, out)
    assert not out.exists()


def test_the_command_prints_both(match: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["null", str(match), "--kind", "shuffled", "--seed", "7", "--out", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    null = json.loads((tmp_path / "activations.json").read_text())
    pairs = json.loads((tmp_path / "null.json").read_text())["pairs"]
    (reached,) = (line for line in lines if line[:1] == ["pairs active together"])
    real = json.loads((match / "activations.json").read_text())
    assert reached[1:] == [f"{real['pairs']}", f"{null['pairs']}"]
    (half,) = (line for line in lines if line[:1] == ["0.5"])
    names = ("match", "null", "match_often", "null_often")
    assert half[1:] == [f"{pairs[5][name]}" for name in names]
