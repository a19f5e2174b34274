"""Maps between two spaces, planted, against numpy's own solvers; and matches through them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from twinsae.cli.main import main
from twinsae.matching import Matching
from twinsae.matching.mapping import learn_map, match_mapped
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.activations import open_activations


@pytest.fixture
def pair(tmp_path):
    """Make two stores, y = x M + c + noise, with x of very different variances by direction."""

    def make(d_a: int, d_b: int, matrix: np.ndarray, noise: float = 0.0, tokens: int = 6_000):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((tokens, d_a)) * np.geomspace(3, 0.3, d_a) + 5
        y = x @ matrix + rng.standard_normal(d_b) + noise * rng.standard_normal((tokens, d_b))
        for name, array in (("x", x), ("y", y)):
            np.save(tmp_path / f"{name}.npy", array)
        stores = [open_activations(tmp_path / f"{name}.npy") for name in "xy"]
        return SimpleNamespace(x=x.astype(np.float32), y=y.astype(np.float32), stores=stores)

    return make


def rotation(d: int, seed: int = 1) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def test_a_rotation_and_its_scale_are_found(pair) -> None:
    planted = 2.5 * rotation(12)
    found = learn_map(*pair(12, 12, planted, noise=0.01).stores, "procrustes")
    np.testing.assert_allclose(found.matrix, planted, atol=2e-3)
    assert found.rank == 12
    assert found.condition == pytest.approx(1)
    assert found.explained > 0.999
    assert found.explained_before is not None
    assert found.explained_before < found.explained - 1
    assert found.tokens == 3_000


@pytest.mark.parametrize(("d_a", "d_b"), [(7, 7), (9, 5), (5, 9)])
def test_least_squares_are_numpy_s(pair, d_a: int, d_b: int) -> None:
    planted = np.random.default_rng(2).standard_normal((d_a, d_b))
    data = pair(d_a, d_b, planted, noise=0.5)
    found = learn_map(*data.stores, "affine")
    x, y = data.x[:3000].astype(float), data.y[:3000].astype(float)
    solved = np.linalg.lstsq(np.c_[x, np.ones(3000)], y, rcond=None)[0]
    np.testing.assert_allclose(found.matrix, solved[:-1], atol=1e-7)
    np.testing.assert_allclose(found.constant, solved[-1], atol=1e-6)


@pytest.mark.parametrize("kind", ["procrustes", "affine"])
@pytest.mark.parametrize("d_b", [6, 4])
def test_explained_variance_is_that_of_the_other_half(pair, kind, d_b: int) -> None:
    planted = np.random.default_rng(3).standard_normal((6, d_b))
    data = pair(6, d_b, planted, noise=1.0)
    found = learn_map(*data.stores, kind)
    x, y = data.x[3000:].astype(float), data.y[3000:].astype(float)
    total = np.square(y - y.mean(axis=0)).sum()
    left = np.square(y - (x @ found.matrix + found.constant)).sum()
    assert found.explained == pytest.approx(1 - left / total, abs=1e-9)
    if d_b == 6:
        expected = 1 - np.square(y - x).sum() / total
        assert found.explained_before == pytest.approx(expected, abs=1e-9)
    else:
        assert found.explained_before is None


def test_procrustes_is_scipy_s(pair) -> None:
    data = pair(8, 8, np.random.default_rng(4).standard_normal((8, 8)), noise=0.2)
    x, y = (array[:3000] - array[:3000].mean(axis=0, dtype=float) for array in (data.x, data.y))
    turn, size = orthogonal_procrustes(x, y)
    found = learn_map(*data.stores, "procrustes")
    np.testing.assert_allclose(found.matrix, turn * size / np.square(x).sum(), atol=1e-8)


def test_a_map_of_low_rank_says_so(pair) -> None:
    left, right = np.random.default_rng(5).standard_normal((2, 6, 3))
    found = learn_map(*pair(6, 6, left @ right.T).stores, "affine")
    values = np.linalg.svd(left @ right.T, compute_uv=False)
    assert found.rank >= 3  # float32 activations leave some of the rest
    assert values[0] / values[2] < found.condition or found.rank == 3


@pytest.mark.parametrize("kind", ["procrustes", "affine"])
def test_a_rotated_sae_is_found_again(pair, tmp_path, kind) -> None:
    planted = 0.5 * rotation(10) if kind == "procrustes" else rotation(10) * np.geomspace(1, 3, 10)
    pair(10, 10, planted, noise=1e-3)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(6))
    a, b = (SAE(SAEConfig(d_in=10, num_latents=30, k=2), seed=7) for _ in range(2))
    decoder, encoder = torch.randn(2, 30, 10, generator=torch.Generator().manual_seed(8)).double()
    matrix = torch.from_numpy(planted)
    with torch.no_grad():
        a.W_dec.copy_(decoder)
        a.encoder.weight.copy_(encoder)
        b.W_dec.copy_((decoder @ matrix)[order])
        b.encoder.weight.copy_((encoder @ matrix.inverse().T)[order])
    save_sae(a, tmp_path / "a")
    save_sae(b, tmp_path / "b")
    stores = [tmp_path / "x.npy", tmp_path / "y.npy"]
    out = tmp_path / "out"
    summary = match_mapped(tmp_path / "a", tmp_path / "b", out, stores=stores, kind=kind)
    for side in ("decoder", "encoder"):
        found = Matching.load(out / f"{side}.npz")
        np.testing.assert_array_equal(order[found.cols.copy()], found.rows)
        assert found.cosine.min() > 0.999
    assert summary["map"] == json.loads((out / "map.json").read_text())
    assert summary["map"]["kind"] == kind
    with np.load(out / "map.npz") as stored:
        np.testing.assert_allclose(stored["matrix"], planted, atol=5e-3)


def test_the_command_prints_what_the_map_explains(pair, tmp_path, capsys) -> None:
    pair(6, 6, rotation(6))
    save_sae(SAE(SAEConfig(d_in=6, num_latents=9, k=2), seed=0), tmp_path / "a")
    a, x, y, out = (str(tmp_path / name) for name in ("a", "x.npy", "y.npy", "out"))
    mapped = ["--map", "procrustes", "--store"]
    assert main(["match", a, a, *mapped, x, y, "--out", out]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "variance explained, on other tokens │ 100.0%" in printed
    assert "rank │ 6 " in printed
    for missing in ([*mapped, x], ["--by", "activations"], ["--store", x]):
        assert main(["match", a, a, *missing, "--out", out]) == 2
        assert "store: expected" in capsys.readouterr().err


def test_what_is_wrong_is_named(pair, tmp_path) -> None:
    stores = pair(4, 4, np.eye(4)).stores
    np.save(tmp_path / "short.npy", np.ones((3, 4)))
    short = open_activations(tmp_path / "short.npy")
    with pytest.raises(ValueError, match="they have 6,000 and 3 rows"):
        learn_map(stores[0], short, "affine")
    with pytest.raises(ValueError, match="a map needs 4 tokens or more, got 3"):
        learn_map(short, short, "affine")
    with pytest.raises(ValueError, match="map: expected one of procrustes, affine, got 'turn'"):
        learn_map(*stores, "turn")
    save_sae(SAE(SAEConfig(d_in=5, num_latents=8, k=2)), tmp_path / "five")
    with pytest.raises(ValueError, match="the decoder has width 5, but its activations have 4"):
        match_mapped(
            tmp_path / "five", tmp_path / "five", tmp_path / "out", stores=[tmp_path / "x.npy"] * 2
        )
    with pytest.raises(ValueError, match="stores: expected one of A's and one of B's"):
        match_mapped(tmp_path / "five", tmp_path / "five", tmp_path / "out", stores=[short.path])
