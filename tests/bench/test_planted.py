"""Planted dictionaries: their relations, their cosines, seeds and files."""

import numpy as np
import pytest
import torch
from twinsae.bench.planted import planted_pair


@pytest.mark.parametrize(("num_latents", "d_in"), [(5000, 64), (401, 7), (1, 2), (9, 3)])
def test_what_was_planted_is_there(num_latents: int, d_in: int) -> None:
    made = planted_pair(num_latents, d_in, seed=5)
    for side in (made.a, made.b):
        assert side.shape == (num_latents, d_in)
        assert side.dtype == torch.float32
        torch.testing.assert_close(side.norm(dim=1), torch.ones(num_latents))
    found = made.partner >= 0
    cosines = (made.a[found] * made.b[made.partner[found]]).sum(1)
    torch.testing.assert_close(cosines, made.cosine[found])
    assert not made.cosine[~found].any()
    assert made.partner.max() < num_latents


def test_as_many_of_each_kind_as_documented() -> None:
    made = planted_pair(4800, 8)
    shared = made.cosine >= 0.7
    assert shared.sum() == 1680
    assert ((made.cosine >= 0.3) & ~shared).sum() == 1200
    partners, members = made.partner[made.partner >= 0].unique(return_counts=True)
    assert members.bincount().tolist() == [0, 2280, 0, 200]
    assert (partners.diff() == 1).float().mean() < 0.9  # partners are shuffled


def test_unrelated_latents_are_as_alike_as_documented() -> None:
    made = planted_pair(4000, 768)
    cosines = made.a[-1000:] @ made.b.T
    assert cosines.mean() == pytest.approx(0.24, abs=0.02)
    assert cosines.std() == pytest.approx(0.13, abs=0.01)
    assert cosines.max(dim=1).values.median() == pytest.approx(0.56, abs=0.02)


def test_seeds() -> None:
    one, same, other = (planted_pair(50, 4, seed) for seed in (1, 1, 2))
    for name in ("a", "b", "partner", "cosine"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))


def test_in_files_they_are_the_same(tmp_path) -> None:
    made, in_files = planted_pair(300, 5, seed=3), planted_pair(300, 5, 3, tmp_path)
    for name in ("a", "b"):
        assert torch.equal(getattr(in_files, name), getattr(made, name))
        stored = np.fromfile(tmp_path / name, np.float32)
        assert np.array_equal(stored.reshape(300, 5), getattr(made, name).numpy())


@pytest.mark.parametrize(("num_latents", "d_in"), [(0, 4), (4, 1)])
def test_too_small(num_latents: int, d_in: int) -> None:
    with pytest.raises(ValueError, match="1 or more latents of width 2 or more"):
        planted_pair(num_latents, d_in)
