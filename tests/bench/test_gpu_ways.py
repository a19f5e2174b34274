"""The ways of `bench gpu`: ours, those of torch, and stand-ins for peers."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from twinsae.bench import peers
from twinsae.bench.gpu import gates, torch_ways, ways
from twinsae.bench.measurement import OURS, PRODUCT
from twinsae.bench.problem import Numbers, Problem, Shape, timing_problem

SHAPE = Shape(40, 64, 600, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peers_are_compared_and_timed(dtype: torch.dtype, toy_with_peers) -> None:
    toy = toy_with_peers
    results = toy.go(replace(toy.plan, dtype=dtype, ops=("encode", "decode", "step")))
    assert results.refused == []
    found = toy.timed(results)
    for d_in in (64, 32):
        assert all("sparsify" in found[op, d_in] for op in ("encode", "decode", "step"))
        assert "cuBLAS + torch.topk + flex_sae" in found["step", d_in]


def test_a_peer_that_is_broken_is_said_and_left_out(toy_with_peers, monkeypatch) -> None:
    toy, coder = toy_with_peers, sys.modules["sparsify"].SparseCoder
    monkeypatch.setattr(coder, "encode", lambda *_: (torch.ones(40, 8),) * 2)
    flex, right = sys.modules["flex_sae"], getattr(sys.modules["flex_sae"], peers.FLEX_LOSS)
    monkeypatch.setattr(flex, peers.FLEX_LOSS, lambda *given: 1.3 * right(*given))
    results = toy.go(replace(toy.plan, ops=("encode", "step")))
    assert not results.wrong
    assert all("sparsify" not in own for own in toy.timed(results).values())
    assert any("flex_sae: the squared error is off" in line for line in results.refused)
    monkeypatch.setitem(sys.modules, "sparsify", SimpleNamespace())
    results = toy.go(replace(toy.plan, ops=("decode",)))
    assert any("peers: AttributeError" in line for line in results.refused)
    assert all(OURS in own for own in toy.timed(results).values())
    assert not results.wrong


@pytest.mark.usefixtures("with_peers")
def test_peers_steps_leave_no_gradient_to_add_to() -> None:
    problem = encoded_problem()
    size = torch_ways.squared_length(problem.x)
    for peer in peers.installed_peers(problem.weights, peers.GPU_PEERS, size):
        first, second = peer.step(problem.x), peer.step(problem.x)
        assert all(torch.equal(first[name], second[name]) for name in first), peer.name
    assert problem.W_dec.grad is None


def encoded_problem() -> Problem:
    problem = timing_problem(SHAPE, Numbers(torch.float32, torch.device("cpu")))
    found = torch_ways.chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
    return problem.encoded(*found)


@pytest.mark.usefixtures("with_peers")
def test_all_steps_have_the_gradients_of_float64() -> None:
    problem = encoded_problem()
    leaves = [
        t.double().requires_grad_() for t in (problem.W_dec, problem.W_enc, problem.b_enc)
    ]  # fmt: skip
    W_dec, W_enc, b_enc = leaves
    x = problem.x.double()
    top = (x @ W_enc.T + b_enc).topk(problem.k)
    decoded = torch.einsum("nk,nkd->nd", top.values, W_dec[top.indices]) + problem.b_dec
    loss = (decoded - x).square().sum() / x.square().sum() * len(x)
    expected = torch.autograd.grad(loss, leaves)[:2]
    means = ways.Means("native", "eager")
    for way in ways.step_ways(problem, means):
        if way.name == PRODUCT:
            continue
        found, *gradients = way.run()
        scale = float(loss.detach() / found)  # the loss of flex_sae has another scale
        assert (scale == pytest.approx(1.0, rel=1e-5)) == ("flex_sae" not in way.name)
        for ours, theirs in zip(gradients, expected, strict=True):
            off = (ours.double() * scale - theirs).norm() / theirs.norm()
            assert off < 1e-5, way.name


def test_the_chunked_encoder_is_that_of_the_whole_product(monkeypatch) -> None:
    problem = encoded_problem()
    inputs = problem.x, problem.W_enc, problem.b_enc, problem.k
    values, indices = torch_ways.torch_encode(*inputs)
    for rows, latents in ((7, 601), (40, 5), (1, 9), (50, 598)):
        monkeypatch.setattr(torch_ways, "CHUNK_ROWS", rows)
        monkeypatch.setattr(torch_ways, "CHUNK_LATENTS", latents)
        found = torch_ways.chunked_encode(*inputs)
        torch.testing.assert_close(found[0], values)
        assert torch.equal(found[1], indices)


def test_the_gates_squared_error_is_that_of_all_rows(monkeypatch) -> None:
    problem = encoded_problem()
    monkeypatch.setattr(gates, "_AT_ONCE", 7)
    decoded = torch.einsum("nk,nkd->nd", problem.values, problem.W_dec[problem.indices])
    error = float((decoded + problem.b_dec - problem.x).square().sum())
    assert gates._squared_error(problem) == pytest.approx(error, rel=1e-6)
