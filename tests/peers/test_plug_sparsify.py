"""sparsify with our kernels: its numbers, and the right gradients where its own are wrong."""

from contextlib import nullcontext

import pytest
import torch
from sparsify import SparseCoder, SparseCoderConfig, sparse_coder
from torch.nn import functional
from twinsae.sae import plug
from twinsae.sae.plug import patch

pytestmark = pytest.mark.peers
D, L, K = 12, 131, 5
NAMES = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")


@pytest.fixture
def make(randomise):
    def make(**settings):
        coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K, **settings))
        randomise(coder)
        return coder

    return make


@pytest.fixture
def dead():
    return torch.arange(L) % 4 == 0


def run(coder, x, term, **masks):
    coder.zero_grad()
    out = coder(x, **masks)
    getattr(out, term).backward()
    grads = {name: p.grad.clone() for name, p in coder.named_parameters() if p.grad is not None}
    return out, grads


def dense_term(coder, x, term, dead):
    """The same loss term in float64, dense, by autograd."""
    p = {n: v.detach().double().requires_grad_() for n, v in coder.named_parameters()}
    x = x.double()
    scores = torch.relu((x - p["b_dec"]) @ p["encoder.weight"].T + p["encoder.bias"])

    def decode(scores, k):
        top = scores.topk(k)
        return torch.zeros_like(scores).scatter(1, top.indices, top.values) @ p["W_dec"]

    error = x - decode(scores, K) - p["b_dec"]
    variance = (x - x.mean(0)).square().sum()
    if term == "fvu":
        loss = error.square().sum()
    elif term == "multi_topk_fvu":
        loss = (x - decode(scores, 4 * K) - p["b_dec"]).square().sum()
    else:
        found = decode(scores.where(dead, 0), min(D // 2, int(dead.sum())))
        loss = min(int(dead.sum()) / (D // 2), 1) * (found - error.detach()).square().sum()
    (loss / variance).backward()
    return loss / variance, {n: v.grad for n, v in p.items()}


@pytest.mark.parametrize("term", ["fvu", "auxk_loss", "multi_topk_fvu"])
def test_every_term_has_the_dense_models_gradients(make, x, dead, term):
    coder = make(multi_topk=True)
    with plug.sparsify():
        out, grads = run(coder, x, term, dead_mask=dead)
    loss, expected = dense_term(coder, x, term, dead)
    torch.testing.assert_close(getattr(out, term).double(), loss, rtol=1e-5, atol=1e-6)
    for name in NAMES:
        found = grads.get(name, torch.zeros(()))
        reference = expected[name] if expected[name] is not None else torch.zeros(())
        torch.testing.assert_close(found.double(), reference.double(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("term", ["auxk_loss", "multi_topk_fvu"])
def test_stock_sparsify_gives_the_encoder_no_gradient_of_these(make, x, dead, term):
    """What the test above would find without the plug-in: sparsify 1.3 drops pre_acts' gradient."""
    coder = make(multi_topk=True)
    _, grads = run(coder, x, term, dead_mask=dead)
    _, expected = dense_term(coder, x, term, dead)
    assert not grads["encoder.weight"].any()
    assert expected["encoder.weight"].abs().max() > 0.01


@pytest.mark.parametrize("positives", [0, 1, K - 1])
def test_missing_places_get_no_gradient_and_index_0(make, x, positives):
    coder = make()
    with torch.no_grad():
        coder.encoder.bias.fill_(-100)
        coder.encoder.bias[7 : 7 + positives] = 100
    with plug.sparsify():
        out, grads = run(coder, x, "fvu")
    _, expected = dense_term(coder, x, "fvu", None)
    for name in NAMES:
        torch.testing.assert_close(grads[name].double(), expected[name], rtol=1e-4, atol=1e-6)
    assert not out.latent_acts[:, positives:].any()
    assert not out.latent_indices[:, positives:].any()


@pytest.mark.parametrize(
    "settings",
    [{}, {"transcode": True}, {"skip_connection": True, "transcode": True}, {"multi_topk": True}],
)
def test_outputs_are_sparsifys(make, x, dead, settings):
    coder = make(**settings)
    y = x.roll(1, 0)
    stock = coder(x, y, dead_mask=dead)
    with plug.sparsify():
        ours = coder(x, y, dead_mask=dead)
    for name in ("sae_out", "fvu", "auxk_loss", "multi_topk_fvu"):
        torch.testing.assert_close(getattr(ours, name), getattr(stock, name), rtol=1e-5, atol=1e-5)
    order = stock.latent_acts.argsort(dim=1, descending=True)
    assert torch.equal(ours.latent_indices, stock.latent_indices.gather(1, order))


def test_groupmax(x):
    coder = SparseCoder(D, SparseCoderConfig(num_latents=120, k=K, activation="groupmax"))
    stock, expected = run(coder, x, "fvu")
    with plug.sparsify():
        ours, grads = run(coder, x, "fvu")
    torch.testing.assert_close(ours.latent_acts, stock.latent_acts)
    assert torch.equal(ours.latent_indices, stock.latent_indices)
    for name in NAMES:
        torch.testing.assert_close(grads[name], expected[name], rtol=1e-4, atol=1e-6)


def test_fifty_steps_have_stocks_loss_curve():
    curves = []
    for plugged in (nullcontext, plug.sparsify):
        torch.manual_seed(0)
        coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K))
        adam = torch.optim.Adam(coder.parameters(), lr=3e-3)
        losses = []
        for step in range(50):
            x = torch.randn(64, D, generator=torch.Generator().manual_seed(step)).exp()
            coder.set_decoder_norm_to_unit_norm()
            with plugged():
                loss = coder(x).fvu
            loss.backward()
            coder.remove_gradient_parallel_to_decoder_directions()
            adam.step()
            adam.zero_grad()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0][-1] < 0.8 * curves[0][0]
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


def test_leading_dimensions_and_micro_batches(make, x):
    """Three dimensions are silently wrong in stock sparsify."""
    coder = make()
    with plug.sparsify():
        flat = coder.encode(x)
        shaped = coder.encode(x.reshape(4, 16, D))
        out = coder.decode(shaped.top_acts, shaped.top_indices)
        _, whole = run(coder, x, "fvu")
        coder.zero_grad()
        for part in x.chunk(4):
            coder(part, total_variance=(x - x.mean(0)).square().sum()).fvu.backward()
    assert torch.equal(shaped.top_acts.reshape(64, K), flat.top_acts)
    expected = coder.decode(flat.top_acts, flat.top_indices)
    torch.testing.assert_close(out.reshape(64, D), expected)
    for name in NAMES:
        found = coder.get_parameter(name).grad
        torch.testing.assert_close(found, whole[name], rtol=1e-4, atol=1e-6)


def test_pre_acts_are_computed_only_when_asked_for(make, x, monkeypatch):
    coder, calls = make(), []
    linear = functional.linear
    monkeypatch.setattr(
        functional, "linear", lambda *args: calls.append(args[0].shape) or linear(*args)
    )
    with plug.sparsify():
        encoded = coder.encode(x)
        assert encoded.pre_acts.shape == (64, L)
        assert encoded.pre_acts.dtype == torch.float32
        assert not calls
        scores = torch.relu((x - coder.b_dec) @ coder.encoder.weight.T + coder.encoder.bias)
        torch.testing.assert_close(encoded.pre_acts + 0, scores)
        assert len(calls) == 1
        torch.testing.assert_close(encoded.pre_acts.mean(), scores.mean())
        smallest = encoded.pre_acts.topk(2, largest=False)
        assert not smallest.values.any()
        assert len(calls) == 3
        torch.autograd.grad(encoded.pre_acts.sum(), coder.encoder.bias)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_respected(make, x, dtype):
    coder = make()
    with torch.autocast("cpu", dtype=dtype):
        stock = coder.encode(x)
        with plug.sparsify():
            ours = coder.encode(x)
            out, grads = run(coder, x, "fvu")
    assert ours.top_acts.dtype == stock.top_acts.dtype == dtype
    assert out.sae_out.dtype == torch.float32
    assert grads["encoder.weight"].dtype == torch.float32
    expected = stock.top_acts.float().sort(dim=1, descending=True).values
    torch.testing.assert_close(ours.top_acts.float(), expected, rtol=0.02, atol=0.05)


def test_everything_is_put_back():
    names = ("fused_encoder", "decoder_impl")
    before = [getattr(sparse_coder, name) for name in names]
    with plug.sparsify():
        assert plug.sparsify.enabled
        assert all(getattr(sparse_coder, n) is not b for n, b in zip(names, before, strict=True))
        with plug.sparsify():
            pass
        assert plug.sparsify.enabled
    assert [getattr(sparse_coder, name) for name in names] == before
    plug.sparsify.enable()
    plug.sparsify.enable()
    plug.sparsify.disable()
    plug.sparsify.disable()
    assert [getattr(sparse_coder, name) for name in names] == before
    with pytest.raises(KeyboardInterrupt), plug.sparsify():
        raise KeyboardInterrupt
    assert [getattr(sparse_coder, name) for name in names] == before


def test_an_unknown_version_is_refused(monkeypatch):
    monkeypatch.setattr(patch, "version", lambda _: "2.0.1")
    with pytest.raises(RuntimeError, match=r"knows eai-sparsify 1\.3\.x, but 2\.0\.1 is installed"):
        plug.sparsify.enable()
    assert not plug.sparsify.enabled


def test_a_missing_name_is_told(monkeypatch):
    monkeypatch.delattr(sparse_coder, "decoder_impl")
    with pytest.raises(RuntimeError, match="there is no 'decoder_impl' to replace"):
        plug.sparsify.enable()
    assert not plug.sparsify.enabled
