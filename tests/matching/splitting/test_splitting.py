"""Splits that were planted, with every number worked out by hand; and random SAEs, decoded densely.

Four things happen, one a token, with strength s: x = s e0, s e2, s e4, or one of two that the
smaller SAE cannot tell apart, s b1 = s (2 e1 + e3) / sqrt(5) and s b2 = s (2 e1 - e3) / sqrt(5).
The smaller SAE has the latents e0, e1, e2. On s b1 it gives <s b1, e1> e1, which leaves an error of
s^2 / 5; on s e4 it gives 0. The larger one has e0, b1, b2, e2, e4, and leaves nothing.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching.splitting.files import CHILDREN, FORMAT, PARENTS, splitting
from twinsae.matching.splitting.stitching import stitch
from twinsae.matching.splitting.trees import find_parents, find_roots
from twinsae.matching.substitution.observed import observe, unit_rows
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.activations import open_activations

E = np.eye(6)
B1, B2 = (2 * E[1] + E[3]) / 5**0.5, (2 * E[1] - E[3]) / 5**0.5
SMALL = np.array([E[0], E[1], E[2]])
LARGE = np.array([E[0], B1, B2, E[2], E[4]])
LARGEST = np.array([*LARGE, E[5], (E[4] + 0.1 * E[0]) / 1.01**0.5])  # e5 never happens
STRENGTHS = {0: [1, 2], 1: [2, 1, 1], 2: [3, 1], 3: [1], 4: [2, 1]}  # by latent of LARGE


def sae_of(rows: np.ndarray) -> SAE:
    """Return the SAE that gives each token to the latent of the largest positive score."""
    sae = SAE(SAEConfig(6, len(rows), k=1), dtype=torch.float64)
    with torch.no_grad():
        sae.W_dec.copy_(torch.from_numpy(rows))
        sae.encoder.weight.copy_(sae.W_dec)
    return sae


@pytest.fixture
def tokens() -> np.ndarray:
    return np.array([s * LARGE[latent] for latent, all_of in STRENGTHS.items() for s in all_of])


def sum_of_squares(latent: int) -> int:
    return sum(s * s for s in STRENGTHS[latent])


def test_parents_and_children_are_those_planted():
    found = find_parents(SMALL, LARGE)
    assert found.novel.tolist() == [False, False, False, False, True]
    assert found.parent[:4].tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(found.cosine, [1, 0.8**0.5, 0.8**0.5, 1, 0], atol=1e-12)
    assert found.children.tolist() == [1, 2, 1]
    strict = find_parents(SMALL, LARGE, 0.9)
    assert strict.novel.tolist() == [False, True, True, False, True]


def test_a_cosine_at_the_threshold_is_no_novel_latent():
    found = find_parents(np.array([[1.0, 0]]), np.array([[0.6, 0.8], [1, 0]]), 0.6)
    assert found.novel.tolist() == [False, False]


def test_novel_latents_are_the_roots_of_new_trees():
    levels = [find_parents(SMALL, LARGE), find_parents(LARGE, LARGEST)]
    first, second, third = find_roots(levels)
    assert first.level.tolist() == [0, 0, 0]
    assert first.latent.tolist() == [0, 1, 2]
    assert second.level.tolist() == [0, 0, 0, 0, 1]
    assert second.latent.tolist() == [0, 1, 1, 2, 4]
    assert third.level.tolist() == [0, 0, 0, 0, 1, 2, 1]
    assert third.latent.tolist() == [0, 1, 1, 2, 4, 5, 4]
    assert find_roots([]) == []


def test_inserting_and_swapping_change_the_error_as_worked_out(tokens: np.ndarray):
    observed = observe(sae_of(SMALL), sae_of(LARGE), [torch.from_numpy(tokens)])
    found = stitch(observed, SMALL, LARGE, find_parents(SMALL, LARGE))
    variance = ((tokens - tokens.mean(axis=0)) ** 2).sum()
    # e0 and e2 are there already: twice s e0 is off by s. b1 beside 2 s e1 / sqrt(5) leaves the
    # latter, 4 s^2 / 5 in place of s^2 / 5. e4 takes all of its own error away.
    inserted = [
        sum_of_squares(0), 0.6 * sum_of_squares(1), 0.6 * sum_of_squares(2), sum_of_squares(3),
        -sum_of_squares(4),
    ]  # fmt: skip
    np.testing.assert_allclose(found.inserted * variance, inserted, atol=1e-9)
    split = sum_of_squares(1) + sum_of_squares(2)
    np.testing.assert_allclose(found.swapped * variance, [0, -0.2 * split, 0], atol=1e-9)
    assert observed.fvu == pytest.approx((0.2 * split + sum_of_squares(4)) / variance)
    assert found.with_novel == pytest.approx(0.2 * split / variance)
    assert found.with_families == pytest.approx(sum_of_squares(4) / variance)
    assert found.with_both == pytest.approx(0, abs=1e-12)
    assert observed.fvu_b == pytest.approx(0, abs=1e-12)


@torch.no_grad()
def test_random_saes_against_dense_decoding():
    x = torch.randn(120, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    small, large = (
        SAE(SAEConfig(6, n, k=4, normalize_decoder=False), seed=n, dtype=torch.float64)
        for n in (7, 19)
    )
    observed = observe(small, large, x.split(50))
    units = unit_rows(small), unit_rows(large)
    parents = find_parents(*units, 0.6)
    found = stitch(observed, *units, parents)
    contributed = []  # (N, L, D)
    for sae in (small, large):
        top = sae.encode(x)
        values = torch.zeros(120, sae.config.num_latents + 1, dtype=torch.float64)
        values.scatter_(1, torch.where(top.indices < 0, len(sae.W_dec), top.indices), top.values)
        contributed.append(values[:, :-1, None] * sae.W_dec)
    base = small(x).reconstruction
    variance = (x - x.mean(dim=0)).square().sum()

    def fvu(out: list[int], into: list[int]) -> float:
        new = base - contributed[0][:, out].sum(dim=1) + contributed[1][:, into].sum(dim=1)
        return float((new - x).square().sum() / variance)

    none = fvu([], [])
    families = {
        i: np.flatnonzero((parents.parent == i) & ~parents.novel).tolist() for i in range(7)
    }
    assert max(map(len, families.values())) > 1
    for j in range(19):
        assert found.inserted[j] == pytest.approx(fvu([], [j]) - none, abs=1e-12)
    for i, children in families.items():
        if children:
            assert found.swapped[i] == pytest.approx(fvu([i], children) - none, abs=1e-12)
        else:
            assert np.isnan(found.swapped[i])
    novel = np.flatnonzero(parents.novel).tolist()
    swapped = [i for i, children in families.items() if children]
    into = [j for i in swapped for j in families[i]]
    assert 0 < len(novel) < 19
    assert found.with_novel == pytest.approx(fvu([], novel))
    assert found.with_families == pytest.approx(fvu(swapped, into))
    assert found.with_both == pytest.approx(fvu(swapped, into + novel))


@pytest.fixture
def folder(tmp_path: Path, tokens: np.ndarray) -> Path:
    for name, rows in (("small", SMALL), ("large", LARGE), ("largest", LARGEST)):
        save_sae(sae_of(rows), tmp_path / name)
    np.save(tmp_path / "x.npy", tokens)
    return tmp_path


def test_the_command_writes_a_forest(folder: Path, capsys: pytest.CaptureFixture[str]):
    saes = [str(folder / name) for name in ("small", "large", "largest")]
    where = ["--store", str(folder / "x.npy"), "--out", str(folder / "out")]
    assert main(["splitting", *saes, *where]) == 0
    printed = capsys.readouterr().out
    assert "3 to 5" in printed
    assert "5 to 7" in printed
    table, facts = load_table(folder / "out" / CHILDREN, FORMAT)
    assert table["level"].tolist() == [1] * 5 + [2] * 7
    assert table["root"].tolist() == [0, 1, 1, 2, 4, 0, 1, 1, 2, 4, 5, 4]
    assert table["root_level"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 1]
    assert table["fired"].tolist()[:5] == [len(of) for of in STRENGTHS.values()]
    assert [Path(of["path"]).name for of in facts["saes"]] == ["small", "large", "largest"]
    first, second = facts["summary"]["steps"]
    assert first["latents"] == {
        "novel": 1, "live_novel": 1, "live_novel_helps": 1,
        "reconstruction": 4, "live_reconstruction": 4, "live_reconstruction_helps": 0,
    }  # fmt: skip
    assert first["children"]["none"] == 0
    assert first["children"]["one"] == 2
    assert first["children"]["several"] == 1
    assert first["children"]["most"] == 2
    assert second["latents"]["novel"] == 1
    assert second["latents"]["live_novel"] == 0
    parents, _ = load_table(folder / "out" / PARENTS, FORMAT)
    assert parents["level"].tolist() == [0] * 3 + [1] * 5
    assert parents["children"].tolist() == [1, 2, 1, 1, 1, 1, 1, 2]


def test_sizes_must_ascend(folder: Path):
    store = open_activations(folder / "x.npy")
    for names in (["large", "small"], ["small", "small"], ["small"]):
        with pytest.raises(ValueError, match="saes: expected two or more with ascending numbers"):
            splitting([folder / name for name in names], store, folder / "out")
    assert not (folder / "out").exists()


def test_bad_options_are_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]):
    where = ["--store", str(folder / "x.npy"), "--out", str(folder / "out")]
    small, large = str(folder / "small"), str(folder / "large")
    assert main(["splitting", small, *where]) == 2
    assert "error: expected 2 SAEs or more, got 1" in capsys.readouterr().err
    assert main(["splitting", small, large, *where, "--threshold", "7"]) == 2
    assert "error: threshold: expected a cosine, -1 to 1, got 7.0" in capsys.readouterr().err
