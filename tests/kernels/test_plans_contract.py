"""The contract of the scans, for every plan that a call of a real size may choose on the GPU.

The other contracts force tiny groups, so that many rows are done again. Here groups are those of
real dictionaries, in smaller ones: a kernel's code does not depend on their size.
"""

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
    from twinsae.kernels.topk.triton import linear, mutual, scheme

    for module in (linear, mutual):
        monkeypatch.setattr(
            module, "choose_scheme", lambda _, k, widest: scheme.choose_scheme(REAL, k, widest)
        )


def plans_of(op: str, x: torch.Tensor) -> list:
    from twinsae.kernels.topk.triton import plans

    return plans.Question(op, x.device, x.dtype, len(x), REAL, x.shape[1], 32).plans()


@pytest.mark.parametrize("k", [32, 64])
@pytest.mark.usefixtures("groups_of_real_sizes")
def test_every_plan_of_linear_topk(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype, k: int
) -> None:
    from twinsae.kernels.topk.triton import plans

    x, weight = make.integers(48, 80, dtype=dtype), make.integers(1024, 80, dtype=dtype)
    bias = make.integers(1024, dtype=dtype)
    values, indices = oracle.topk(oracle.scores(x, weight, bias), k, 0.0)
    for plan in plans_of("linear_topk", x):
        with plans.forced("linear_topk", plan):
            top = linear_topk(x, weight, bias, k, backend="triton")
        np.testing.assert_array_equal(top.indices.cpu().numpy(), indices, str(plan))
        assert torch.equal(top.values, make.given(values).to(dtype)), plan


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
def test_every_plan_of_mutual_topk(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype
) -> None:
    from twinsae.kernels.topk.triton import plans

    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    scores = oracle.scores(a, b, None)
    for plan in plans_of("mutual_topk", a):
        with plans.forced("mutual_topk", plan):
            found = mutual_topk(a, b, 32, backend="triton")
        for side, ours in ((scores, found.row_indices), (scores.T, found.col_indices)):
            expected = oracle.topk(side, 32, -np.inf)[1]
            np.testing.assert_array_equal(ours.cpu().numpy(), expected, str(plan))


@pytest.mark.parametrize("exact", [True, False])
def test_every_plan_of_pairs_above(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype, exact: bool
) -> None:
    from twinsae.kernels.topk.triton import plans

    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    u, v = make.integers(160).double(), make.integers(272).double()
    above = oracle.scores(a, b, None) > u.cpu().numpy()[:, None] + v.cpu().numpy() + 40
    expected = set(zip(*(side.tolist() for side in np.nonzero(above)), strict=True))
    assert expected
    for plan in plans_of("pairs_above", a):
        with plans.forced("pairs_above", plan):
            found = pairs_above(
                a, b, u, v, margin=-40.0, capacity=160 * 272, exact=exact, backend="triton"
            )
        pairs = set(zip(found.rows.tolist(), found.cols.tolist(), strict=True))
        assert pairs == expected if exact else pairs >= expected
