"""What a collector keeps, against loops over dense codes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from twinsae.sae.contexts import Contexts
from twinsae.sae.contexts.assembly import contexts_of
from twinsae.sae.contexts.collector import Collector, random_key
from twinsae.sae.contexts.histogram import Histograms

LATENTS = 11
Listed = list[dict[str, Any]]
LENGTHS = [1, 3, 60, 2, 1, 250, 40, 31, 33, 90, *[7] * 40]
OFFSETS = np.array([0, *np.cumsum(LENGTHS)])


def dense_codes(seed: int, share: float = 0.3) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Codes (N, L) with many equal values, and the N places in the corpus that have a row.

    Latent 0 never fires, latent 1 on one token alone, latent 2 on all, latent 3 below 0 only.
    """
    rng = np.random.default_rng(seed)
    positions = np.flatnonzero(rng.random(OFFSETS[-1]) < 0.9)
    values = rng.integers(1, 30, (len(positions), LATENTS)) / 8 * 2.0 ** rng.integers(-3, 4)
    codes = np.where(rng.random(values.shape) < share, values, 0).astype(np.float32)
    codes[:, :2] = 0
    codes[70, 1] = 3
    codes[:, 2] = values[:, 2]
    codes[:, 3] *= -1
    codes[120, 4] = 50_000  # beside it, others round to a level of 0
    return codes, positions


def sparse(codes: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Codes as an encoder gives them: descending, and index -1 where there are fewer."""
    values, indices = torch.from_numpy(codes).sort(dim=1, descending=True)
    missing = values == 0
    return values, indices.masked_fill(missing, -1)


def collect(codes: NDArray[Any], positions: NDArray[np.int64], batch: int) -> Contexts:
    collector = Collector(LATENTS, positions, OFFSETS)
    values, indices = sparse(codes)
    for start in range(0, len(codes), batch):
        collector.add(values[start : start + batch], indices[start : start + batch])
    return contexts_of(collector)


def as_lists(found: Contexts, latent: int) -> Listed:
    """A latent's contexts, each with its window's levels by place in the corpus."""
    listed = []
    for number in range(*found.context_offsets[latent : latent + 2]):
        begin = found.position[number] - found.before[number]
        fires = slice(*found.fire_offsets[number : number + 2])
        levels = dict(zip(begin + found.fire_place[fires], found.fire_level[fires], strict=True))
        end = found.position[number] + found.after[number]
        fact = (found.position[number], found.peak[number], found.kind[number], begin, end)
        listed.append({"context": fact, "levels": levels})
    return listed


def expected(codes: NDArray[Any], positions: NDArray[np.int64], latent: int) -> Listed:
    """The same from the definitions, in loops."""
    fires = {int(p): v for p, v in zip(positions, codes[:, latent], strict=True) if v > 0}
    sequence = {p: int(np.searchsorted(OFFSETS, p, side="right")) for p in fires}
    ranked = sorted(fires, key=lambda p: (-fires[p], p))
    top: list[int] = []
    for p in ranked:
        if len(top) < 20 and sequence[p] not in [sequence[other] for other in top]:
            top.append(p)
    keys = {p: random_key(np.array([latent]), np.array([p]))[0] for p in fires}
    drawn = sorted(fires, key=lambda p: keys[p])[:10]
    random = [p for p in ranked if p in drawn and p not in top]
    return [
        _context(fires, p, kind, sequence[p])
        for kind, some in enumerate((top, random))
        for p in some
    ]


def _context(fires: dict[int, Any], peak: int, kind: int, sequence: int) -> dict[str, Any]:
    begin = max(peak - 20, OFFSETS[sequence - 1])
    end = min(peak + 12, OFFSETS[sequence])
    levels = {
        p: min(max(round(255 * float(fires[p]) / float(fires[peak])), 1), 255)
        for p in range(begin, end)
        if p in fires
    }
    return {"context": (peak, fires[peak], kind, begin, end), "levels": levels}


@pytest.mark.parametrize("batch", [1, 7, 100, 10**6])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_contexts_are_those_of_loops_over_dense_codes(batch, share):
    codes, positions = dense_codes(4, share)
    found = collect(codes, positions, batch)
    for latent in range(LATENTS):
        assert as_lists(found, latent) == expected(codes, positions, latent)
    counts = np.diff(found.context_offsets)
    assert counts[[0, 1, 3]].tolist() == [0, 1, 0]
    assert 20 < counts[2] <= 30


def test_counts_and_histograms():
    codes, positions = dense_codes(5)
    found = collect(codes, positions, 64)
    for latent in range(LATENTS):
        fires = codes[:, latent][codes[:, latent] > 0].astype(np.float64)
        assert found.count[latent] == len(fires)
        if not len(fires):
            assert np.isnan(found.max_active[latent])
            assert found.histogram_end[latent] == 0
            assert not found.histogram[latent].any()
            continue
        assert found.max_active[latent] == fires.max()
        end = 2.0 ** (math.floor(math.log2(fires.max())) + 1)
        assert found.histogram_end[latent] == end
        bins = np.histogram(fires, bins=24, range=(0, end))[0]
        np.testing.assert_array_equal(found.histogram[latent], bins)


def test_a_histogram_does_not_depend_on_the_order():
    values = np.float32(2) ** np.linspace(-30, 9, 400, dtype=np.float32)
    mixed = np.random.default_rng(0).permutation(400)
    for order in (slice(None), slice(None, None, -1), mixed, [0, *mixed[::-1]]):
        histograms = Histograms(2)
        for value in values[order]:
            histograms.add(np.array([1]), np.array([value]))
        assert histograms.end.tolist() == [0, 1024]
        bins = np.histogram(values[order].astype(np.float64), bins=24, range=(0, 1024))[0]
        assert histograms.count.tolist() == [[0] * 24, bins.tolist()]


def test_a_collector_goes_on_from_its_state():
    codes, positions = dense_codes(6)
    values, indices = sparse(codes)
    first, second = (Collector(LATENTS, positions, OFFSETS) for _ in range(2))
    first.add(values[:201], indices[:201])
    second.restore({name: np.copy(array) for name, array in first.state().items()})
    assert second.tokens == 201
    second.add(values[201:], indices[201:])
    found, whole = contexts_of(second), collect(codes, positions, 10**6)
    for name in ("count", "histogram", "position", "peak", "kind", "fire_place", "fire_level"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_one_token_and_none():
    positions = np.array([0])
    collector = Collector(3, positions, np.array([0, 1]))
    collector.add(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int64))
    collector.add(torch.tensor([[2.0, 0]]), torch.tensor([[1, -1]]))
    found = contexts_of(collector)
    assert found.context_offsets.tolist() == [0, 0, 1, 1]
    assert (found.before.tolist(), found.after.tolist()) == ([0], [1])
    assert (found.fire_place.tolist(), found.fire_level.tolist()) == ([0], [255])
    silent = Collector(3, positions, np.array([0, 1]))
    silent.add(torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.int64))
    assert contexts_of(silent).context_offsets.tolist() == [0, 0, 0, 0]


def test_random_keys_are_spread_evenly():
    keys = random_key(*(n.ravel() for n in np.meshgrid(np.arange(100), np.arange(1000))))
    assert len(np.unique(keys)) == 100_000
    shares = np.bincount((keys >> np.uint64(60)).astype(np.int64), minlength=8) / 100_000
    np.testing.assert_allclose(shares, 1 / 8, atol=0.005)
    assert abs(np.corrcoef(keys[:-1], keys[1:])[0, 1]) < 0.02


def test_values_that_are_not_finite_are_named():
    collector = Collector(3, np.arange(5), np.array([0, 5]))
    with pytest.raises(ValueError, match=r"^the value of latent 2 on token 0 is NaN or infinite$"):
        collector.add(torch.tensor([[torch.nan]]), torch.tensor([[2]]))
