"""The parts for any trainer, and what the plug-ins are made of; no peer is needed."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional
from twinsae.sae import plug
from twinsae.sae.plug import adam, dense_products, lazy_scores, patch

N, D, L, K = 9, 6, 40, 4


@pytest.fixture
def p():
    g = torch.Generator().manual_seed(3)
    shapes = {"x": (N, D), "W": (L, D), "b": (L,), "V": (L, D), "c": (D,)}
    return {
        name: torch.randn(shape, generator=g).requires_grad_() for name, shape in shapes.items()
    }


def dense(p, k, mask=None, floor=0.0):
    """The codes (N, L) in float64, by torch's own operations, and the reconstruction."""
    q = {name: part.detach().double().requires_grad_() for name, part in p.items()}
    scores = functional.linear(q["x"], q["W"], q["b"])
    allowed = torch.ones(L, dtype=torch.bool) if mask is None else mask
    top = scores.where(allowed, -torch.inf).topk(k)
    values = top.values.where(top.values > floor, 0)
    codes = torch.zeros_like(scores).scatter(1, top.indices, values)
    return q, codes, codes @ q["V"] + q["c"]


def check(p, found, k, **options):
    q, codes, out = dense(p, k, **options)
    ours = torch.zeros(N, L).scatter_add(1, found.indices, found.values)
    torch.testing.assert_close(ours.double(), codes, rtol=1e-5, atol=1e-6)
    reconstruction = plug.decode(found.values, found.indices, p["V"], p["c"])
    torch.testing.assert_close(reconstruction.double(), out, rtol=1e-5, atol=1e-5)
    reconstruction.square().sum().backward()
    out.square().sum().backward()
    for name, part in p.items():
        torch.testing.assert_close(part.grad.double(), q[name].grad, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("k", [1, K, L])
def test_encode_and_decode_are_the_dense_model(p, k):
    check(p, plug.encode(p["x"], p["W"], p["b"], k), k)


@pytest.mark.parametrize("floor", [0.0, -torch.inf])
@pytest.mark.parametrize("small", [True, False])
def test_a_mask_of_few_latents_and_of_many(p, monkeypatch, floor, small):
    """Both ways of computing give the same."""
    monkeypatch.setattr(dense_products, "LEAST_ACTIVE", 2 if small else L + 1)
    monkeypatch.setattr("twinsae.sae.plug.functional.LEAST_ACTIVE", 2 if small else L + 1)
    mask = torch.arange(L) % 5 == 0
    found = plug.encode(p["x"], p["W"], p["b"], K, mask=mask, floor=floor)
    assert mask[found.indices[found.values != 0]].all()
    check(p, found, K, mask=mask, floor=floor)


@pytest.mark.parametrize("small", [True, False])
def test_more_than_the_mask_has_are_missing(p, monkeypatch, small):
    monkeypatch.setattr(dense_products, "LEAST_ACTIVE", 2 if small else L + 1)
    mask = torch.arange(L) < 3
    found = plug.encode(p["x"], p["W"], p["b"], K, mask=mask)
    assert not found.values[:, 3].any()
    assert not found.indices[:, 3].any()


@pytest.mark.parametrize("small", [True, False])
def test_missing_places_are_value_0_and_index_0_and_get_no_gradient(p, monkeypatch, small):
    monkeypatch.setattr(dense_products, "LEAST_ACTIVE", 2 if small else L + 1)
    p["b"].data.fill_(-100)
    p["b"].data[7] = 100
    options = {"mask": torch.arange(L) < 20} if small else {}
    found = plug.encode(p["x"], p["W"], p["b"], K, **options)
    assert found.indices.tolist() == [[7, 0, 0, 0]] * N
    assert not found.values[:, 1:].any()
    check(p, found, K, **options)


@pytest.mark.parametrize("number", [1, 3, 17, 36, 60, N * L], ids=str)
def test_encode_batch_is_the_dense_model(p, number):
    """Of one row most are active, so that the rows' widths differ."""
    with torch.no_grad():
        p["x"][2] *= 9
    found = plug.encode_batch(p["x"], p["W"], p["b"], number)
    q = {name: part.detach().double().requires_grad_() for name, part in p.items()}
    scores = torch.relu(functional.linear(q["x"], q["W"], q["b"]))
    top = scores.flatten().topk(number)
    codes = torch.zeros(N * L).double().scatter(0, top.indices, top.values).view(N, L)
    ours = torch.zeros(N, L).scatter_add(1, found.indices, found.values)
    torch.testing.assert_close(ours.double(), codes, rtol=1e-5, atol=1e-6)
    assert found.values.shape[1] == (codes > 0).sum(1).max()
    plug.decode(found.values, found.indices, p["V"], p["c"]).square().sum().backward()
    (codes @ q["V"] + q["c"]).square().sum().backward()
    for name, part in p.items():
        torch.testing.assert_close(part.grad.double(), q[name].grad, rtol=1e-4, atol=1e-3, msg=name)


def test_encode_batch_without_positive_scores_and_with_leading_dimensions(p):
    shaped = plug.encode_batch(p["x"].view(3, 3, D), p["W"], p["b"], 20)
    flat = plug.encode_batch(p["x"], p["W"], p["b"], 20)
    assert torch.equal(shaped.values.flatten(0, 1), flat.values)
    none = plug.encode_batch(p["x"], p["W"], p["b"] - 1000, 20)
    assert none.values.shape == none.indices.shape == (N, 1)
    assert not none.values.any()


def test_leading_dimensions(p):
    found = plug.encode(p["x"].reshape(3, 3, D), p["W"], p["b"], K)
    flat = plug.encode(p["x"], p["W"], p["b"], K)
    assert torch.equal(found.values.reshape(N, K), flat.values)
    out = plug.decode(found.values, found.indices, p["V"])
    assert out.shape == (3, 3, D)
    assert torch.equal(out.reshape(N, D), plug.decode(flat.values, flat.indices, p["V"]))
    one = plug.encode(p["x"][0], p["W"], p["b"], K)
    assert one.values.shape == (K,)


def test_autocast_is_that_of_a_linear_layer(p):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = plug.encode(p["x"], p["W"], p["b"], K)
        expected = torch.relu(functional.linear(p["x"], p["W"], p["b"])).topk(K).values
        out = plug.decode(found.values, found.indices, p["V"])
    assert found.values.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found.values, expected, rtol=0.02, atol=0.02)
    assert out.dtype == torch.float32
    out.sum().backward()
    assert p["W"].grad.dtype == torch.float32


def test_modules_are_the_functions(p):
    encoder, decoder = plug.TopKEncoder(D, L, K), plug.SparseDecoder(L, D)
    assert isinstance(encoder, torch.nn.Linear)
    torch.testing.assert_close(decoder.weight.norm(dim=1), torch.ones(L))
    for parameter, name in zip([*encoder.parameters(), *decoder.parameters()], "WbVc", strict=True):
        parameter.data = p[name].data
    found = encoder(p["x"])
    torch.testing.assert_close(found, plug.encode(p["x"], p["W"], p["b"], K))
    expected = plug.decode(*found, p["V"], p["c"])
    torch.testing.assert_close(decoder(*found), expected)
    assert plug.SparseDecoder(L, D, bias=False).bias is None
    assert plug.TopKEncoder(D, L, K, bias=False)(p["x"]).values.shape == (N, K)


class Scores:
    """LazyScores over given numbers, which counts what is asked."""

    def __init__(self, numbers):
        self.numbers, self.computed, self.asked = numbers, 0, []

    def compute(self):
        self.computed += 1
        return self.numbers

    def largest(self, k, mask):
        self.asked.append((k, mask))
        return plug.Active(*self.numbers.topk(k))

    def lazy(self):
        return lazy_scores.LazyScores(self.numbers[:, :1], L, self.compute, self.largest)


def test_lazy_scores_are_not_computed_for_their_largest():
    scores = Scores(torch.rand(N, L))
    stand_in, mask = scores.lazy(), torch.arange(L) < 7
    assert (stand_in.shape, stand_in.dtype, stand_in.dim()) == ((N, L), torch.float32, 2)
    assert stand_in.device == torch.device("cpu")
    values, indices = stand_in.topk(3, sorted=False)
    assert torch.equal(values, scores.numbers.topk(3).values)
    assert torch.equal(indices, scores.numbers.topk(3).indices)
    torch.where(mask[None], stand_in, -torch.inf).topk(2)
    torch.topk(torch.where(mask, stand_in, -torch.inf), 1)
    assert [k for k, _ in scores.asked] == [3, 2, 1]
    assert scores.asked[0][1] is None
    assert all(torch.equal(asked, mask) for _, asked in scores.asked[1:])
    assert scores.computed == 0


def test_lazy_scores_are_computed_for_anything_else():
    numbers = torch.rand(N, L)
    stand_in, mask = Scores(numbers).lazy(), torch.arange(L) < 7
    masked = torch.where(mask, stand_in, -torch.inf)
    expected = torch.where(mask, numbers, -torch.inf)
    assert torch.equal(masked.exp(), expected.exp())
    assert torch.equal(torch.where(mask, masked, -torch.inf) + 0, expected)
    assert torch.equal(torch.where(mask, stand_in, 0.0), torch.where(mask, numbers, 0.0))
    rows = torch.arange(N)[:, None] < 3
    assert torch.equal(torch.where(rows, stand_in, -torch.inf), numbers.where(rows, -torch.inf))
    assert torch.equal(stand_in.topk(2, dim=0).values, numbers.topk(2, dim=0).values)
    least = stand_in.topk(2, largest=False)
    assert torch.equal(least.values, numbers.topk(2, largest=False).values)
    assert torch.equal(torch.cat([stand_in, stand_in]), torch.cat([numbers, numbers]))
    assert torch.equal(stand_in[2], numbers[2])
    assert stand_in.numpy().shape == (N, L)


def test_names_are_swapped_and_put_back():
    names = {"f": 1, "g": 2}
    swaps = [patch.Swap(names, "f", 10), patch.Swap(names, "g", 20)]
    one = patch.Patch(lambda: swaps)
    with one():
        assert names == {"f": 10, "g": 20}
        names["g"] = 3  # someone else's, after ours
        with one():
            pass
        assert names["f"] == 10
    assert names == {"f": 1, "g": 3}
    names.pop("g")
    with pytest.raises(RuntimeError, match="there is no 'g' to replace"):
        one.enable()
    assert names == {"f": 1}


def test_no_peer_is_imported_before_it_is_needed():
    check = "import sys, twinsae.sae.plug; sys.exit('sparsify' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_adam_is_fused_where_it_can_be():
    parameter = torch.nn.Parameter(torch.ones(3))
    assert adam.fused_adam(iter([parameter]), lr=0.1).param_groups[0]["fused"] is True
    meta = torch.nn.Parameter(torch.ones(3, device="meta"))
    assert not adam.fused_adam([meta], lr=0.1).param_groups[0]["fused"]
