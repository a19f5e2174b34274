"""The contract of the scans, for the plans that calls of real sizes have on the GPU.

The other contracts force tiny groups, so that many rows are done again. Here groups are those of
real dictionaries, in smaller ones: a kernel's code does not depend on their size.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels.autoencode import topk_autoencode
from twinsae.kernels.decode import decode_error, gather_dot, sparse_decode
from twinsae.kernels.grads import latent_grads
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

    choose = scheme.choose_scheme
    monkeypatch.setattr(plan, "choose_scheme", lambda _, k, widest: choose(REAL, k, widest))


@pytest.mark.parametrize("k", [32, 64])
@pytest.mark.usefixtures("groups_of_real_sizes")
def test_the_plan_of_linear_topk(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype, k: int
) -> None:
    x, weight = make.integers(48, 80, dtype=dtype), make.integers(1024, 80, dtype=dtype)
    bias = make.integers(1024, dtype=dtype)
    values, indices = oracle.topk(oracle.scores(x, weight, bias), k, 0.0)
    top = linear_topk(x, weight, bias, k, backend="triton")
    np.testing.assert_array_equal(top.indices.cpu().numpy(), indices)
    assert torch.equal(top.values, make.given(values).to(dtype))


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
def test_the_plan_of_mutual_topk(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype
) -> None:
    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    scores = oracle.scores(a, b, None)
    found = mutual_topk(a, b, 32, backend="triton")
    for side, ours in ((scores, found.row_indices), (scores.T, found.col_indices)):
        expected = oracle.topk(side, 32, -np.inf)[1]
        np.testing.assert_array_equal(ours.cpu().numpy(), expected)


@pytest.mark.parametrize("exact", [True, False])
def test_the_plan_of_pairs_above(
    make: SimpleNamespace, oracle: SimpleNamespace, dtype: torch.dtype, exact: bool
) -> None:
    a, b = make.integers(160, 80, dtype=dtype), make.integers(272, 80, dtype=dtype)
    u, v = make.integers(160).double(), make.integers(272).double()
    above = oracle.scores(a, b, None) > u.cpu().numpy()[:, None] + v.cpu().numpy() + 40
    expected = set(zip(*(side.tolist() for side in np.nonzero(above)), strict=True))
    assert expected
    found = pairs_above(a, b, u, v, margin=-40.0, capacity=160 * 272, exact=exact, backend="triton")
    pairs = set(zip(found.rows.tolist(), found.cols.tolist(), strict=True))
    assert pairs == expected if exact else pairs >= expected


@pytest.mark.parametrize("dim", [768, 4096])
def test_sparse_functions_at_real_widths(
    make: SimpleNamespace, dtype: torch.dtype, dim: int
) -> None:
    values, indices = make.integers(8, 32, dtype=dtype, most=1), make.indices(8, 32, 48)
    weight, x = make.integers(48, dim, dtype=dtype, most=1), make.integers(8, dim, dtype=dtype)
    bias, scale = make.integers(dim, dtype=dtype, most=1), make.tensor(0.5)

    def everything(backend: str) -> list[torch.Tensor]:
        error = decode_error(values, indices, weight, bias, x, scale, backend=backend)
        grads = latent_grads(values, values, indices, x, x, 48, backend=backend)
        decoded = sparse_decode(values, indices, weight, bias, backend=backend)
        dots = gather_dot(x, indices, weight, backend=backend)
        encoded = topk_autoencode(x, weight, None, weight, bias, 32, backend=backend)
        return [*error, *grads, decoded, dots, *encoded[:5]]

    for ours, theirs in zip(everything("triton"), everything("reference"), strict=True):
        # Whole numbers below 2^24 are exact in any order. Beyond are sums of dim squares only.
        exact = bool((theirs.abs() < 2**24).all())
        rtol = 0 if exact else dim * 2.0**-23
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=0)
