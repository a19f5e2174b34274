"""The contract of the scans in every tile that the GPU has, with the groups of real dictionaries.

The other contracts force tiny groups, so that many rows are done again. Here groups are those of
real dictionaries, in smaller ones: a kernel's code does not depend on their size.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels.topk import linear_topk, mutual_topk, pairs_above

pytestmark = [pytest.mark.gpu_plans, pytest.mark.first_contact]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
REAL = 131_072  # latents, for which the groups are chosen


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture
def groups_of_real_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    from twinsae.kernels.topk.triton import plan, scheme

    monkeypatch.setattr(
        plan, "choose_scheme", lambda _, k, widest: scheme.choose_scheme(REAL, k, widest)
    )


def tiles_of(op: str, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Yield each tile of an op that is for this GPU, and let scans take it meanwhile."""
    from twinsae.kernels.topk.triton import above, pairs, plan, tiles

    arch = tiles.capability(device)
    for tile in tiles.HALF_TILES[op]:
        if not tile.archs or arch in tile.archs:
            for module in (above, pairs, plan):
                monkeypatch.setattr(module, "scan_tile", lambda *_, tile=tile: tile)
            yield tile


@pytest.mark.parametrize("k", [32, 64])
@pytest.mark.usefixtures("groups_of_real_sizes")
def test_every_tile_of_linear_topk(
    make: SimpleNamespace,
    oracle: SimpleNamespace,
    dtype: torch.dtype,
    k: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight = make.integers(48, 80, dtype=dtype), make.integers(1024, 80, dtype=dtype)
    bias = make.integers(1024, dtype=dtype)
    values, indices = oracle.topk(oracle.scores(x, weight, bias), k, 0.0)
    for tile in tiles_of("linear_topk", x.device, monkeypatch):
        top = linear_topk(x, weight, bias, k, backend="triton")
        np.testing.assert_array_equal(top.indices.cpu().numpy(), indices, str(tile))
        assert torch.equal(top.values, make.given(values).to(dtype)), tile


@pytest.mark.usefixtures("groups_of_real_sizes")
def test_rows_of_odd_length(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype
) -> None:
    x, weight = make.integers(37, 67, dtype=dtype), make.integers(771, 67, dtype=dtype)
    bias = make.integers(771, dtype=dtype)
    top = linear_topk(x, weight, bias, 32, backend="triton")
    _, indices = oracle.topk(oracle.scores(x, weight, bias), 32, 0.0)
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)


@pytest.mark.usefixtures("groups_of_real_sizes")
def test_every_tile_of_mutual_topk(
    make: SimpleNamespace,
    oracle: SimpleNamespace,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    scores = oracle.scores(a, b, None)
    for tile in tiles_of("mutual_topk", a.device, monkeypatch):
        found = mutual_topk(a, b, 32, backend="triton")
        for side, ours in ((scores, found.row_indices), (scores.T, found.col_indices)):
            expected = oracle.topk(side, 32, -np.inf)[1]
            np.testing.assert_array_equal(ours.cpu().numpy(), expected, str(tile))


@pytest.mark.parametrize("exact", [True, False])
def test_every_tile_of_pairs_above(
    make: SimpleNamespace,
    oracle: SimpleNamespace,
    dtype: torch.dtype,
    exact: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    u, v = make.integers(160).double(), make.integers(272).double()
    above = oracle.scores(a, b, None) > u.cpu().numpy()[:, None] + v.cpu().numpy() + 40
    expected = set(zip(*(side.tolist() for side in np.nonzero(above)), strict=True))
    assert expected
    for _ in tiles_of("pairs_above", a.device, monkeypatch):
        found = pairs_above(
            a, b, u, v, margin=-40.0, capacity=160 * 272, exact=exact, backend="triton"
        )
        pairs = set(zip(found.rows.tolist(), found.cols.tolist(), strict=True))
        assert pairs == expected if exact else pairs >= expected
