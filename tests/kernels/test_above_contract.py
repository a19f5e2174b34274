"""The contract of linear_above and of the sparse products of compressed rows, for every backend.

Scores of integer-valued inputs are exact. Real-valued ones are compared with float64 where they are
not within the rounding of a float32 sum of the threshold.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.kernels.decode import csr_decode, decode_error, gather_dot, sparse_decode
from twinsae.kernels.grads import latent_grads
from twinsae.kernels.topk import CSR, linear_above, pack


def dense(found: CSR, latents: int) -> np.ndarray:
    """Return (N, L) float64 with NaN where nothing is listed; check the order of what is."""
    rows, indices = places(found)
    assert (np.diff(rows * latents + indices) > 0).all()
    out = np.full((len(found.row_offsets) - 1, latents), np.nan)
    out[rows, indices] = found.values.double().cpu().numpy()
    return out


def places(found: CSR) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the latent of each place."""
    offsets, indices = found.row_offsets.cpu().numpy(), found.indices.cpu().numpy()
    assert offsets[0] == 0
    assert offsets[-1] == len(indices) == len(found.values)
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), indices


SIZES = [
    (0, 5, 3), (5, 0, 3), (1, 1, 1), (3, 33, 0), (37, 53, 4), (40, 300, 70),
    pytest.param(1500, 40, 9, marks=pytest.mark.cpu_sizes),
    pytest.param(30, 2500, 9, marks=pytest.mark.cpu_sizes),
]  # fmt: skip


@pytest.mark.first_contact
@pytest.mark.parametrize(("rows", "latents", "dim"), SIZES)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("packs", [False, True])
def test_scores_above_each_threshold_are_listed(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, rows: int, latents: int,
    dim: int, with_bias: bool, packs: bool,
) -> None:  # fmt: skip
    x, weight = make.integers(rows, dim), make.integers(latents, dim)
    bias = make.integers(latents) if with_bias else None
    threshold = make.integers(latents)  # many scores equal their threshold
    found = linear_above(x, pack(weight) if packs else weight, bias, threshold, backend=backend)
    scores = oracle.scores(x, weight, bias)
    expected = np.where(scores > threshold.cpu().numpy(), scores, np.nan)
    np.testing.assert_array_equal(dense(found, latents), expected)
    assert found.row_offsets.dtype == found.indices.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("threshold", [2.0, -math.inf, math.inf])
def test_other_dtypes_and_one_threshold(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, dtype: torch.dtype,
    threshold: float,
) -> None:  # fmt: skip
    x, weight, bias = (make.integers(*s, dtype=dtype) for s in ((20, 4), (70, 4), (70,)))
    served = "reference" if dtype == torch.float64 else backend
    found = linear_above(x, weight, bias, threshold, backend=served)
    scores = oracle.scores(x, weight, bias)
    expected = np.where(scores > threshold, scores, np.nan)
    np.testing.assert_array_equal(dense(found, 70), expected)
    assert found.values.dtype == dtype


@pytest.mark.parametrize(
    ("rows", "latents", "dim"),
    [
        (33, 200, 40),
        pytest.param(70, 1100, 33, marks=pytest.mark.cpu_sizes),
        pytest.param(300, 5000, 300, marks=pytest.mark.cpu_sizes),
    ],
)
def test_real_scores(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, rows: int, latents: int, dim: int
) -> None:
    # Half of all scores pass in some rows: more than may wait for their scores natively.
    x, weight, bias = make.reals(rows, dim), make.reals(latents, dim), make.reals(latents)
    x[::3] *= 30
    threshold = make.reals(latents).abs() * dim**0.5
    found = dense(linear_above(x, weight, bias, threshold, backend=backend), latents)
    exact = oracle.scores(x, weight, bias)
    gap = exact - threshold.double().cpu().numpy()
    sizes = oracle.scores(x.abs(), weight.abs(), bias.abs())
    allowed = (dim + 2) * 2.0**-24 * sizes
    sure = abs(gap) > allowed
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(~np.isnan(found)[sure], (gap > 0)[sure])
    assert (abs(found - exact)[~np.isnan(found)] <= allowed[~np.isnan(found)]).all()


def test_the_rounded_score_is_compared(make: SimpleNamespace, backend: str) -> None:
    # The exact score 2^24 + 1 rounds to 2^24, which is not above the threshold.
    x, weight, bias = make.ones(1, 1), make.full((40, 1), 2.0**24), make.ones(40)
    for threshold, count in ((2.0**24 - 1, 40), (2.0**24, 0)):
        found = linear_above(x, weight, bias, threshold, backend=backend)
        assert found.indices.numel() == count


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_nan_and_infinite_numbers(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, infinite: float
) -> None:
    x, weight, bias = make.integers(7, 4), make.integers(90, 4), make.integers(90)
    threshold = make.integers(90)
    x[1, 2], x[2, 0] = math.nan, infinite
    weight[5, 1], weight[6, 3] = infinite, math.nan
    bias[7], bias[8], bias[9] = infinite, -infinite, math.nan
    threshold[10], threshold[11], threshold[12] = infinite, -infinite, math.nan
    found = linear_above(x, weight, bias, threshold, backend=backend)
    scores = oracle.scores(x, weight, bias)
    limit = np.nan_to_num(threshold.cpu().numpy(), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    listed = ~(scores <= limit)
    np.testing.assert_array_equal(places(found), np.nonzero(listed))
    np.testing.assert_array_equal(found.values.cpu().numpy(), scores[listed])


def test_inputs_may_have_any_strides(make: SimpleNamespace, backend: str) -> None:
    x, weight = make.integers(4, 9).T, make.integers(6, 50)[::2].T
    bias, threshold = make.integers(100)[::2], make.integers(100)[1::2]
    weight = weight[:, [0, 1, 2, 1]][:, :4]
    found = linear_above(x, weight, bias, threshold, backend=backend)
    plain = linear_above(
        *(t.contiguous() for t in (x, weight, bias, threshold)), backend="reference"
    )
    for ours, theirs in zip(found[:3], plain[:3], strict=True):
        assert torch.equal(ours, theirs)


def test_bits_do_not_depend_on_threads_or_packing(
    make: SimpleNamespace, backend: str, threads
) -> None:
    x, weight, bias = make.reals(90, 100), make.reals(120, 100), make.reals(120)
    results = []
    for count in (1, 2, 3):
        threads(count)
        for side in (weight, pack(weight)):
            results.append(linear_above(x, side, bias, 1.0, backend=backend))
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0][:3], other[:3], strict=True))


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"weight": torch.ones(4, 3)}, ValueError, "weight: expected shape"),
        ({"weight": torch.ones(4, 2).half()}, TypeError, "weight: expected torch.float32"),
        ({"bias": torch.ones(5)}, ValueError, "bias: expected shape"),
        ({"threshold": torch.ones(5)}, ValueError, "threshold: expected shape"),
        ({"threshold": torch.ones(4).int()}, TypeError, "threshold: expected float32"),
        ({"threshold": math.nan}, ValueError, "threshold: expected a number"),
        ({"x": torch.ones(3)}, ValueError, "x: expected 2 dimensions"),
        ({"backend": "fastest"}, ValueError, "backend: expected one of"),
    ],
)
def test_wrong_arguments_are_named(
    make: SimpleNamespace, backend: str, change: dict, error: type, names: str
) -> None:
    arguments = {
        "x": make.ones(3, 2), "weight": make.ones(4, 2), "bias": make.ones(4),
        "threshold": 0.0, "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        linear_above(**arguments)


def compressed(indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return row offsets, and which places of indices (N, k) with -1 are there."""
    there = indices >= 0
    counts = there.sum(1)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), there


@pytest.mark.first_contact
@pytest.mark.parametrize(
    ("rows", "k", "latents", "dim"),
    [(0, 3, 5, 4), (1, 1, 1, 1), (33, 13, 8, 132), (5, 40, 50, 577), (4, 5, 9, 0)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_compressed_rows_give_the_results_of_padded_rows(
    make: SimpleNamespace, backend: str, rows: int, k: int, latents: int, dim: int,
    dtype: torch.dtype,
) -> None:  # fmt: skip
    served = "reference" if dtype == torch.float64 else backend
    indices = make.indices(rows, k, latents)
    values, x, target = (
        make.integers(*s, dtype=dtype, most=1) for s in ((rows, k), *[(rows, dim)] * 2)
    )
    weight, bias = make.integers(latents, dim, dtype=dtype, most=2), make.integers(dim, dtype=dtype)
    offsets, there = compressed(indices)
    few = indices[there], values[there]
    scale = make.tensor(0.5, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    expected = sparse_decode(values, indices, weight, bias, backend="reference")
    assert torch.equal(csr_decode(offsets, *few, weight, bias, backend=served), expected)
    dots = gather_dot(x, indices, weight, backend="reference")
    own = gather_dot(x, few[0], weight, row_offsets=offsets, backend=served)
    assert torch.equal(own, dots[there])
    wanted = decode_error(values, indices, weight, bias, target, scale, backend="reference")
    error = decode_error(
        few[1], few[0], weight, bias, target, scale, row_offsets=offsets, backend=served
    )
    assert torch.equal(error.squares, wanted.squares)
    assert torch.equal(error.g, wanted.g)
    assert torch.equal(error.d_values, wanted.d_values[there])
    sums = latent_grads(values, dots, indices, x, target, latents, backend="reference")
    own_sums = latent_grads(
        few[1], own, few[0], x, target, latents, row_offsets=offsets, backend=served
    )
    for ours, theirs in zip(own_sums, sums, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"row_offsets": torch.tensor([0, 2, 4])}, ValueError, "row_offsets: expected .* 0 to 5"),
        (
            {"row_offsets": torch.tensor([0, 3, 2, 5])},
            ValueError,
            "row_offsets: expected .* 0 to 5",
        ),
        ({"row_offsets": torch.tensor([0.0, 5.0])}, TypeError, "row_offsets: expected torch.int64"),
        ({"row_offsets": torch.tensor([[0, 5]])}, ValueError, "row_offsets: expected 1 dim"),
        ({"row_offsets": torch.tensor([], dtype=torch.int64)}, ValueError, "row_offsets: expected"),
        ({"indices": torch.full((5,), 4)}, ValueError, "indices: expected -1 to 3, got 4"),
        ({"indices": torch.zeros(5, 1).long()}, ValueError, "indices: expected 1 dimensions"),
        ({"values": torch.ones(4)}, ValueError, "indices: expected shape"),
    ],
)
def test_wrong_compressed_rows_are_named(
    make: SimpleNamespace, backend: str, change: dict, error: type, names: str
) -> None:
    arguments = {
        "row_offsets": make.tensor([0, 2, 5]), "indices": make.zeros(5).long(),
        "values": make.ones(5), "weight": make.ones(4, 2), "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        csr_decode(**arguments)


@pytest.mark.parametrize("needed", ["all", "x", "weight", "bias", "decoder"])
def test_gradients_against_dense_autograd(make: SimpleNamespace, backend: str, needed: str) -> None:
    # A ReLU autoencoder with thresholds: relu'(s) is 1 above the threshold, 0 elsewhere.
    names = ("x", "weight", "bias", "decoder", "b_dec")
    shapes = ((23, 11), (60, 11), (60,), (60, 11), (11,))
    given = {n: make.reals(*s).double() for n, s in zip(names, shapes, strict=True)}
    threshold = make.reals(60).abs().double()
    wanted = names if needed == "all" else (needed,)

    def leaves(dtype: torch.dtype) -> dict[str, Tensor]:
        return {n: t.to(dtype, copy=True).requires_grad_(n in wanted) for n, t in given.items()}

    def dense_loss(p: dict[str, Tensor]) -> Tensor:
        scores = p["x"] @ p["weight"].T + p["bias"]
        codes = scores * (scores > threshold)
        return (codes @ p["decoder"] + p["b_dec"] - given["x"]).square().sum() + codes.sum()

    exact, own = leaves(torch.float64), leaves(torch.float32)
    expected = torch.autograd.grad(dense_loss(exact), [exact[n] for n in wanted])
    active = linear_above(own["x"], own["weight"], own["bias"], threshold.float(), backend=backend)
    recon = csr_decode(*active[:3], own["decoder"], own["b_dec"], backend=backend)
    loss = (recon - given["x"].float()).square().sum() + active.values.sum()
    found = torch.autograd.grad(loss, [own[n] for n in wanted])
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= 2e-6 * theirs.abs().max()


def test_gradcheck(make: SimpleNamespace) -> None:
    x, weight, bias = (make.reals(*s).double() for s in ((4, 3), (9, 3), (9,)))
    decoder = make.reals(9, 3).double()
    for tensor in (x, weight, bias, decoder):
        tensor.requires_grad_()

    def recon(x: Tensor, weight: Tensor, bias: Tensor, decoder: Tensor) -> Tensor:
        return csr_decode(*linear_above(x, weight, bias, 0.1)[:3], decoder)

    assert torch.autograd.gradcheck(recon, (x, weight, bias, decoder))
