"""The contract of latent_grads, for every backend; bounds as in test_decode_contract.py."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.kernels.grads import LatentGrads, latent_grads


def expected(
    values: Tensor, d_values: Tensor, indices: Tensor, x: Tensor, g: Tensor, latents: int
) -> LatentGrads:
    """Compute it by dense float64 products of (N, L) matrices."""
    named = torch.where(indices < 0, latents, indices)
    zeros = values.new_zeros(indices.shape[0], latents + 1, dtype=torch.float64)
    v, d, hits = (
        zeros.scatter_add(1, named, scale.double())[:, :latents]
        for scale in (values, d_values, torch.ones_like(d_values))
    )
    return LatentGrads(v.T @ g.double(), d.T @ x.double(), d.sum(0), (hits > 0).sum(0))


def some(make: SimpleNamespace, rows: int, k: int, latents: int, dim: int, kind: str, **options):
    build = getattr(make, kind)
    indices = make.indices(rows, k, latents)
    values, d_values = build(rows, k, **options), build(rows, k, **options)
    return values, d_values, indices, build(rows, dim, **options), build(rows, dim, **options)


@pytest.mark.parametrize(
    ("rows", "k", "latents", "dim"),
    [(0, 3, 5, 4), (1, 1, 1, 1), (7, 2, 131, 9), (40, 5, 7, 3), (9, 2, 132, 0),
     pytest.param(40, 32, 30, 577, marks=pytest.mark.first_contact),
     pytest.param(200, 32, 300, 64, marks=pytest.mark.cpu_sizes),
     pytest.param(3000, 3, 50, 1, marks=pytest.mark.cpu_sizes), (9, 0, 4, 3)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_equal_to_dense_products(
    make: SimpleNamespace,
    backend: str,
    rows: int,
    k: int,
    latents: int,
    dim: int,
    dtype: torch.dtype,
) -> None:
    backend = "auto" if dtype == torch.float64 else backend
    inputs = some(make, rows, k, latents, dim, "integers", dtype=dtype)
    grads = latent_grads(*inputs, latents, backend=backend)
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    for ours, exact in zip(grads, expected(*inputs, latents), strict=True):
        assert ours.dtype == (torch.int64 if exact.dtype == torch.int64 else sums)
        assert torch.equal(ours, exact.to(ours.dtype))


@pytest.mark.first_contact
@pytest.mark.parametrize(("d_in", "d_out"), [(3, 600), (600, 3), (0, 5), (5, 0)])
def test_the_encoder_and_the_decoder_may_have_widths_of_their_own(
    make: SimpleNamespace, backend: str, d_in: int, d_out: int
) -> None:
    # 300 rows have one latent, so that its sums are cut into pieces.
    values, d_values, indices, x, _ = some(make, 300, 3, 20, d_in, "integers")
    g = make.integers(300, d_out)
    indices[:, 1] = 7
    exact = expected(values, d_values, indices, x, g, 20)
    new = latent_grads(values, d_values, indices, x, g, 20, backend=backend)
    kept = LatentGrads(*(make.full(t.shape, 2, dtype=t.dtype) for t in new))
    latent_grads(values, d_values, indices, x, g, 20, out=kept, backend=backend)
    for ours, added, theirs in zip(new, kept, exact, strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))
        assert torch.equal(added, ours + 2)


@pytest.mark.parametrize("accumulate", [True, False])
def test_a_term_that_does_not_count_leaves_fired_alone(
    make: SimpleNamespace, backend: str, accumulate: bool
) -> None:
    first, second = some(make, 30, 4, 25, 6, "integers"), some(make, 31, 2, 25, 6, "integers")
    out = latent_grads(*first, 25, backend=backend)
    latent_grads(*second, 25, out=out, accumulate=accumulate, count=False, backend=backend)
    one, two = expected(*first, 25), expected(*second, 25)
    sums = [a + b if accumulate else b for a, b in zip(one, two, strict=True)]
    for ours, theirs in zip(out, [*sums[:3], one.fired], strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))
    assert not torch.equal(two.fired, one.fired)
    alone = latent_grads(*second, 25, count=False, backend=backend)
    assert not alone.fired.any()
    assert torch.equal(alone.dW_dec, two.dW_dec.float())


@pytest.mark.parametrize("heavy", [False, True])
def test_real_values_are_within_the_rounding_of_the_sums(
    make: SimpleNamespace, backend: str, heavy: bool
) -> None:
    rows, latents = 1600, 12
    values, d_values, indices, x, g = some(make, rows, 3, latents, 17, "reals")
    if heavy:
        indices[:, 1] = 11  # one latent in every row
    grads = latent_grads(values, d_values, indices, x, g, latents, backend=backend)
    exact = expected(values, d_values, indices, x, g, latents)
    size = expected(values.abs(), d_values.abs(), indices, x.abs(), g.abs(), latents)
    terms = torch.bincount(indices[indices >= 0], minlength=latents).max() + 2
    for ours, theirs, most in zip(grads[:3], exact[:3], size[:3], strict=True):
        assert ((ours - theirs).abs() <= terms * 2**-24 * most).all()
    assert torch.equal(grads.fired, exact.fired)
    assert not heavy or grads.fired[11] == rows


@pytest.mark.first_contact
def test_out_accumulates(make: SimpleNamespace, backend: str) -> None:
    # A second loss term with its own values, indices and g, as AuxK has.
    first, second = some(make, 30, 4, 25, 6, "integers"), some(make, 31, 7, 25, 6, "integers")
    out = latent_grads(*first, 25, backend=backend)
    same = latent_grads(*second, 25, out=out, backend=backend)
    assert all(a is b for a, b in zip(out, same, strict=True))
    for ours, one, two in zip(out, expected(*first, 25), expected(*second, 25), strict=True):
        assert torch.equal(ours, (one + two).to(ours.dtype))


@pytest.mark.first_contact
def test_out_is_overwritten_on_request(make: SimpleNamespace, backend: str) -> None:
    first, second = some(make, 600, 4, 25, 6, "integers"), some(make, 31, 2, 25, 6, "integers")
    first[2][:, 1] = 4  # more than one piece
    second[2][second[2] == 9] = -1  # a latent that no row has
    out = latent_grads(*first, 25, backend=backend)
    out.dW_enc[3], out.db_enc[5] = math.nan, math.nan
    for inputs in (second, first):
        same = latent_grads(*inputs, 25, out=out, accumulate=False, backend=backend)
        assert all(a is b for a, b in zip(out, same, strict=True))
        for ours, exact in zip(out, expected(*inputs, 25), strict=True):
            assert torch.equal(ours, exact.to(ours.dtype))


# The native index cuts a latent's non-zeros into pieces of 256.
@pytest.mark.parametrize(
    "count", [1, 3, 4, 5, 255, 256, pytest.param(257, marks=pytest.mark.first_contact), 512, 1025]
)
@pytest.mark.parametrize("times", [1, 3])
def test_one_latent_in_every_row(
    make: SimpleNamespace, backend: str, count: int, times: int
) -> None:
    values, d_values, indices, x, g = some(make, count, 5, 9, 4, "integers")
    indices[:, 5 - times :] = 6  # so that pieces end inside a row, too
    start = LatentGrads(make.integers(9, 4), make.integers(9, 4), make.integers(9), make.arange(9))
    grads = latent_grads(
        values, d_values, indices, x, g, 9, out=LatentGrads(*(t.clone() for t in start)),
        backend=backend,
    )  # fmt: skip
    exact = expected(values, d_values, indices, x, g, 9)
    for ours, before, theirs in zip(grads, start, exact, strict=True):
        assert torch.equal(ours, before + theirs.to(ours.dtype))
    assert grads.fired[6] == 6 + count


def test_a_row_of_nothing_but_one_latent(make: SimpleNamespace, backend: str) -> None:
    values, d_values, _, x, g = some(make, 2, 700, 3, 5, "integers")
    indices = make.full((2, 700), 1)
    grads = latent_grads(values, d_values, indices, x, g, 3, backend=backend)
    for ours, theirs in zip(grads, expected(values, d_values, indices, x, g, 3), strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))
    assert grads.fired.tolist() == [0, 2, 0]


def test_a_latent_twice_in_a_row_fires_once(make: SimpleNamespace, backend: str) -> None:
    ones, indices = make.ones(2, 3), make.tensor([[4, 1, 4], [4, -1, 0]])
    grads = latent_grads(ones, ones, indices, make.ones(2, 1), make.ones(2, 1), 5, backend=backend)
    assert grads.fired.tolist() == [1, 1, 0, 0, 2]
    assert grads.db_enc.tolist() == [1, 1, 0, 0, 3]


@pytest.mark.first_contact
def test_an_empty_place_adds_nothing_whatever_it_holds(make: SimpleNamespace, backend: str) -> None:
    bad, indices = make.full((2, 2), math.nan), make.tensor([[-1, -1], [-1, 1]])
    bad[1, 1] = 2.0
    rows = make.tensor([[math.inf], [3.0]])
    grads = latent_grads(bad, bad, indices, rows, rows, 3, backend=backend)
    assert grads.dW_dec.tolist() == grads.dW_enc.tolist() == [[0], [6], [0]]
    assert grads.db_enc.tolist() == [0, 2, 0]


def test_strides_do_not_matter(make: SimpleNamespace, backend: str) -> None:
    inputs = some(make, 20, 4, 30, 7, "reals")
    strided = [t.T.contiguous().T for t in inputs]
    for a, b in zip(
        latent_grads(*inputs, 30, backend=backend),
        latent_grads(*strided, 30, backend=backend),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_bits_do_not_depend_on_the_threads(make: SimpleNamespace, backend: str, threads) -> None:
    inputs = some(make, 2000, 8, 70, 33, "reals")
    inputs[2][:, 0], inputs[2][:, 2], inputs[2][:, 5] = 5, 5, 68  # heavy: in every row
    results = []
    for count in (1, 2, 3, 2):
        threads(count)
        results.append(latent_grads(*inputs, 70, backend=backend))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_inputs_that_record_gradients_are_taken_as_they_are(
    make: SimpleNamespace, backend: str
) -> None:
    inputs = [
        t.requires_grad_() if t.is_floating_point() else t for t in some(make, 9, 3, 8, 4, "reals")
    ]
    assert not any(t.requires_grad for t in latent_grads(*inputs, 8, backend=backend))


@pytest.mark.parametrize("bad", [-2, 7, 2**40])
def test_an_index_out_of_range_raises(make: SimpleNamespace, backend: str, bad: int) -> None:
    ones = make.ones(2, 1)
    indices = make.tensor([[0], [bad]])
    with pytest.raises(ValueError, match=f"indices: expected -1 to 6, got {bad}"):
        latent_grads(ones, ones, indices, ones, ones, 7, backend=backend)


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"d_values": torch.ones(2, 2)}, ValueError, "d_values: expected shape"),
        ({"g": torch.ones(3, 4)}, ValueError, "g: expected shape"),
        ({"x": torch.ones(2, 4).double()}, TypeError, "x: expected torch.float32"),
        ({"indices": torch.zeros(2, 3)}, TypeError, "indices: expected torch.int64"),
        ({"num_latents": 0}, ValueError, "num_latents: expected 1 or more"),
    ],
)
def test_wrong_arguments_are_named(backend: str, change: dict, error: type, names: str) -> None:
    arguments = {
        "values": torch.ones(2, 3), "d_values": torch.ones(2, 3),
        "indices": torch.zeros(2, 3, dtype=torch.int64), "x": torch.ones(2, 4),
        "g": torch.ones(2, 4), "num_latents": 5, "backend": backend, **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        latent_grads(**arguments)


@pytest.mark.parametrize(
    ("field", "wrong", "error", "names"),
    [
        ("dW_dec", torch.zeros(5, 3), ValueError, r"out.dW_dec: expected shape \(5, 4\)"),
        ("db_enc", torch.zeros(5).double(), TypeError, "out.db_enc: expected torch.float32"),
        ("fired", torch.zeros(5), TypeError, "out.fired: expected torch.int64"),
        ("dW_enc", torch.zeros(4, 5).T, ValueError, "out.dW_enc: expected a contiguous tensor"),
    ],
)
def test_wrong_out_is_named(
    backend: str, field: str, wrong: Tensor, error: type, names: str
) -> None:
    ones = torch.ones(2, 4)
    indices = torch.zeros(2, 4, dtype=torch.int64)
    out = latent_grads(ones, ones, indices, ones, ones, 5, backend=backend)
    with pytest.raises(error, match=names):
        latent_grads(
            ones, ones, indices, ones, ones, 5, out=out._replace(**{field: wrong}), backend=backend
        )
