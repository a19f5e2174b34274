"""Null dictionaries: their moments, and what they share with a real one."""

import json

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.matching import Matching, match_files, verify
from twinsae.matching.criteria.nulls import like_spectrum, match_null
from twinsae.matching.rows import StoredRows
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae


def rows_in_a_subspace(num_latents: int, d_in: int, rank: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num_latents, rank)) @ rng.standard_normal((rank, d_in))


def test_random_directions_have_the_second_moments_of_the_rows() -> None:
    rows = rows_in_a_subspace(30_000, 40, 25, seed=0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    drawn = like_spectrum(StoredRows(rows, "rows"), seed=1).numpy()
    assert drawn.shape == rows.shape
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-6)
    expected, found = unit.T @ unit / len(unit), drawn.T @ drawn / len(drawn)
    # An entry of a mean of 30,000 products deviates by about 1e-4; moments are up to 0.1.
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(found - np.eye(40) / 40).max() > 0.01  # other moments would not do
    values = np.linalg.eigvalsh(found)
    assert (values[:15] < 1e-7).all()  # nothing outside the subspace
    assert not np.array_equal(drawn, like_spectrum(StoredRows(rows, "rows"), seed=2).numpy())


def test_zero_rows_and_one_row() -> None:
    rows = np.zeros((3, 4))
    assert not like_spectrum(StoredRows(rows, "rows"), seed=0).any()
    rows[1] = [0, 3, 0, 4]
    drawn = like_spectrum(StoredRows(rows, "rows"), seed=0).double().numpy()
    np.testing.assert_allclose(np.abs(drawn), [[0, 0.6, 0, 0.8]] * 3, atol=1e-5)


@pytest.fixture
def match(tmp_path):
    """A match of two SAEs that share all latents, which lie in 6 of 16 dimensions."""
    rows = torch.from_numpy(rows_in_a_subspace(40, 16, 6, seed=3)).float()
    for name in ("a", "b"):
        sae = SAE(SAEConfig(d_in=16, num_latents=40, k=2))
        with torch.no_grad():
            sae.W_dec.copy_(rows)
            sae.encoder.weight.copy_(rows.flip(0))
        save_sae(sae, tmp_path / name)
    match_files(tmp_path / "a", tmp_path / "b", ("decoder", "encoder"), tmp_path / "match")
    return tmp_path / "match"


@pytest.mark.parametrize("kind", ["spectrum", "untrained"])
def test_a_null_is_matched_in_place_of_b(match, tmp_path, kind) -> None:
    summary = match_null(match, tmp_path / "null", kind=kind, seed=5)
    real = json.loads((match / "summary.json").read_text())
    assert real["overlap"]["criteria"]["and"] == 1
    assert summary["overlap"]["criteria"]["and"] < 0.75
    assert summary["inputs"]["a"] == real["inputs"]["a"]
    facts = json.loads((tmp_path / "null" / "null.json").read_text())
    b = {name: real["inputs"]["b"][name] for name in ("path", "sha256")}
    assert facts == {"kind": kind, "seed": 5, "of": b}
    a, null = load_sae(tmp_path / "a"), load_sae(tmp_path / "null" / "dictionary")
    found = Matching.load(tmp_path / "null" / "decoder.npz")
    assert verify(a.W_dec, null.W_dec, found).valid
    outside = torch.linalg.svdvals(torch.cat([a.W_dec, null.W_dec]))[6:].max()
    assert (outside < 1e-3) == (kind == "spectrum")
    assert not torch.equal(null.W_dec, null.encoder.weight) or kind == "untrained"


def test_directions_in_a_subspace_share_more_than_others(match, tmp_path) -> None:
    means = {
        kind: match_null(match, tmp_path / kind, kind=kind)["sides"]["decoder"]["mean_cosine"]
        for kind in ("spectrum", "untrained")
    }
    assert means["spectrum"] > means["untrained"] + 0.1


@pytest.mark.usefixtures("match")
def test_a_null_of_an_absolute_match_is_absolute(tmp_path) -> None:
    real = tmp_path / "absolute"
    match_files(tmp_path / "a", tmp_path / "b", ("decoder",), real, absolute=True)
    match_null(real, tmp_path / "null")
    assert Matching.load(tmp_path / "null" / "decoder.npz").absolute


def test_what_is_wrong_is_named(match, tmp_path) -> None:
    with pytest.raises(ValueError, match="kind: expected one of spectrum, untrained, got 'none'"):
        match_null(match, tmp_path / "out", kind="none")
    with pytest.raises(FileNotFoundError, match="is no match: it has no summary"):
        match_null(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_both(match, tmp_path, capsys) -> None:
    assert main(["null", str(match), "--out", str(tmp_path / "null")]) == 0
    printed = capsys.readouterr().out
    assert "spectrum" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("│ and "))
    null = json.loads((tmp_path / "null" / "summary.json").read_text())
    cells = [cell.strip() for cell in line.split("│")[2:-1]]
    share = null["overlap"]["criteria"]["and"]
    assert cells == ["100.0%", "100.0% to 100.0%", "100.0%", f"{share:.1%}"]
