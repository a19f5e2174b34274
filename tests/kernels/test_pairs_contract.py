"""The contract of pairs_above, for every backend."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from twinsae.kernels.topk import Pairs, pack, pairs_above


def prices(make: SimpleNamespace, rows: int, cols: int) -> tuple[torch.Tensor, torch.Tensor]:
    # Prices are multiples of 1/4: float64 sums are exact, and many scores equal their prices.
    return make.integers(rows).double() / 4, make.integers(cols).double() / 4


def listed(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.rows.tolist(), pairs.cols.tolist(), strict=True))


@pytest.mark.parametrize(
    ("rows", "cols"),
    [
        (0, 5), (5, 0), (1, 1), (37, 53), pytest.param(40, 300, marks=pytest.mark.first_contact),
        pytest.param(1500, 40, marks=pytest.mark.cpu_sizes),
        pytest.param(30, 2500, marks=pytest.mark.cpu_sizes),
    ],
)  # fmt: skip
@pytest.mark.parametrize("margin", [0.0, 0.75, -2.0])
def test_pairs_equal_the_dense_comparison(
    make: SimpleNamespace,
    oracle: SimpleNamespace,
    backend: str,
    rows: int,
    cols: int,
    margin: float,
) -> None:
    a, b = make.integers(rows, 4), make.integers(cols, 4)
    u, v = prices(make, rows, cols)
    pairs = pairs_above(a, b, u, v, margin=margin, capacity=rows * cols, backend=backend)
    above = oracle.scores(a, b, None) > u.cpu().numpy()[:, None] + v.cpu().numpy() - margin
    assert listed(pairs) == list(zip(*(part.tolist() for part in np.nonzero(above)), strict=True))
    assert int(pairs.overflow) == 0
    assert pairs.rows.dtype == pairs.cols.dtype == pairs.overflow.dtype == torch.int64


@pytest.mark.parametrize(
    ("rows", "cols", "dim"),
    [
        (1, 1, 1), (37, 53, 4), pytest.param(40, 290, 70, marks=pytest.mark.first_contact),
        pytest.param(60, 900, 1500, marks=pytest.mark.cpu_sizes),
    ],
)  # fmt: skip
def test_what_may_be_above_is_listed(
    make: SimpleNamespace, backend: str, rows: int, cols: int, dim: int
) -> None:
    a, b = (functional.normalize(make.reals(n, dim)) for n in (rows, cols))
    u, v = make.reals(rows).double() / 20, make.reals(cols).double() / 20
    excess = (a.double() @ b.double().T - u[:, None] - v).cpu().numpy()
    found = pairs_above(a, b, u, v, margin=0.0, capacity=rows * cols, exact=False, backend=backend)
    pairs = listed(found)
    assert pairs == sorted(set(pairs))
    assert set(zip(*(part.tolist() for part in np.nonzero(excess > 1e-6)), strict=True)) <= {*pairs}
    assert all(excess[pair] > -0.03 for pair in pairs)


@pytest.mark.first_contact
def test_the_comparison_is_made_in_float64(make: SimpleNamespace, backend: str) -> None:
    # The price is below the score by less than float32 resolves.
    one = make.ones(1, 1)
    for price, count in ((1 - 1e-12, 1), (1.0, 0), (1 + 1e-12, 0)):
        u = make.tensor([price], dtype=torch.float64)
        pairs = pairs_above(
            one, one, u, make.zeros(1).double(), margin=0.0, capacity=1, backend=backend
        )
        assert pairs.rows.numel() == count


@pytest.mark.first_contact
def test_only_the_tiles_are_computed(make: SimpleNamespace, backend: str) -> None:
    a, b = make.integers(40, 4), make.integers(50, 4)
    a[30:] = math.nan  # in no tile
    u, v = prices(make, 40, 50)
    tiles = make.tensor([[20, 30, 0, 50], [0, 7, 11, 50], [7, 7, 0, 50], [3, 9, 0, 5]])
    everything = pairs_above(a, b, u, v, margin=1.0, capacity=2000, backend=backend)
    some = pairs_above(a, b, u, v, margin=1.0, tiles=tiles, capacity=2000, backend=backend)
    inside = [
        (i, j)
        for i, j in listed(everything)
        if any(r0 <= i < r1 and c0 <= j < c1 for r0, r1, c0, c1 in tiles.tolist())
    ]
    assert listed(some) == inside
    assert inside
    none = pairs_above(a, b, u, v, margin=1.0, tiles=tiles[:0], capacity=9, backend=backend)
    assert listed(none) == []


@pytest.mark.parametrize("short", [1, 7, 2000])
def test_overflow_counts_and_returns_nothing(
    make: SimpleNamespace, backend: str, short: int
) -> None:
    a = make.ones(50, 2)
    pairs = pairs_above(
        a, a, make.zeros(50).double(), make.zeros(50).double(), margin=0.0,
        capacity=2500 - short, backend=backend,
    )  # fmt: skip
    assert int(pairs.overflow) == short
    assert pairs.rows.numel() == pairs.cols.numel() == 0


@pytest.mark.first_contact
def test_nan_is_above_nothing(make: SimpleNamespace, backend: str) -> None:
    a, b = make.tensor([[1.0], [math.nan]]), make.tensor([[1.0], [2.0]])
    zero = make.zeros(2).double()
    pairs = pairs_above(a, b, zero, zero, margin=math.inf, capacity=4, backend=backend)
    assert listed(pairs) == [(0, 0), (0, 1)]


@pytest.mark.first_contact
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_and_packed(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, dtype: torch.dtype
) -> None:
    a, b = make.integers(20, 4, dtype=dtype), make.integers(30, 4, dtype=dtype)
    u, v = prices(make, 20, 30)
    served = "reference" if dtype == torch.float64 else backend
    pairs = pairs_above(a, pack(b), u, v, margin=0.0, capacity=600, backend=served)
    above = oracle.scores(a, b, None) > u.cpu().numpy()[:, None] + v.cpu().numpy()
    assert listed(pairs) == [tuple(pair) for pair in np.argwhere(above).tolist()]


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"row_price": torch.zeros(4).double()}, ValueError, "row_price: expected shape"),
        ({"col_price": torch.zeros(4)}, TypeError, "col_price: expected torch.float64"),
        ({"tiles": torch.tensor([[0, 4, 0, 4]])}, ValueError, "tiles: expected blocks of a 3 x 4"),
        ({"tiles": torch.tensor([[2, 1, 0, 4]])}, ValueError, "tiles: expected blocks"),
        ({"tiles": torch.tensor([[0, 1, -1, 4]])}, ValueError, "tiles: expected blocks"),
        ({"tiles": torch.tensor([[0, 2, 0]])}, ValueError, "tiles: expected shape"),
        ({"tiles": torch.tensor([[0, 2, 0, 1.0]])}, TypeError, "tiles: expected torch.int64"),
        ({"capacity": -1}, ValueError, "capacity: expected 0 or more"),
        ({"margin": math.nan}, ValueError, "margin: expected a number"),
        ({"backend": "fastest"}, ValueError, "backend: expected one of"),
    ],
)
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "a": torch.ones(3, 2), "b": torch.ones(4, 2), "row_price": torch.zeros(3).double(),
        "col_price": torch.zeros(4).double(), "margin": 0.0, "capacity": 12, "backend": backend,
        **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        pairs_above(**arguments)


def test_real_scores_far_from_their_price_are_listed_or_not(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str
) -> None:
    # There are more survivors than may wait for their scores, and rows of several token tiles.
    a, b = make.reals(70, 33), make.reals(1100, 33)
    u, v = make.reals(70).double(), make.reals(1100).double()
    pairs = pairs_above(a, b, u, v, margin=2.0, capacity=70 * 1100, backend=backend)
    gaps = oracle.scores(a, b, None) - (u.cpu().numpy()[:, None] + v.cpu().numpy() - 2.0)
    assert (abs(gaps) > 1e-4).mean() > 0.999
    found = np.zeros(gaps.shape, bool)
    found[pairs.rows, pairs.cols] = True
    np.testing.assert_array_equal(found[abs(gaps) > 1e-4], (gaps > 0)[abs(gaps) > 1e-4])


def test_bits_do_not_depend_on_threads_or_packing(
    make: SimpleNamespace, backend: str, threads
) -> None:
    a, b = make.reals(90, 100), make.reals(120, 100)
    u, v = make.reals(90).double(), make.reals(120).double()
    results = []
    for count in (1, 2, 3):
        threads(count)
        for side in (b, pack(b)):
            results.append(
                listed(pairs_above(a, side, u, v, margin=0.0, capacity=9999, backend=backend))
            )
    assert results[0]
    assert all(other == results[0] for other in results)


@pytest.mark.first_contact
@pytest.mark.parametrize("price", [math.inf, -math.inf, 1e300, math.nan])
def test_prices_beyond_float32(make: SimpleNamespace, backend: str, price: float) -> None:
    a, b = make.integers(5, 4), make.integers(40, 4)
    u, v = make.zeros(5).double(), make.zeros(40).double()
    u[2], v[3] = price, price
    ours = pairs_above(a, b, u, v, margin=0.5, capacity=200, backend=backend)
    above = (a.double() @ b.double().T > u[:, None] + v - 0.5).nonzero().tolist()
    assert listed(ours) == [tuple(pair) for pair in above]
