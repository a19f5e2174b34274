"""The ways of `bench gpu`: ours, those of torch, and stand-ins for peers."""

import sys
from types import SimpleNamespace

import pytest
import torch
from twinsae.bench import peers
from twinsae.bench.gpu import torch_ways
from twinsae.bench.gpu.gate import CHECKS, PEERS
from twinsae.bench.gpu.ways import TORCH, ways_of
from twinsae.bench.measurement import OURS, PRODUCT
from twinsae.bench.problem import Numbers, Problem, Shape, timing_problem

SHAPE = Shape(40, 64, 600, 8)


def encoded_problem(dtype: torch.dtype = torch.float32) -> Problem:
    problem = timing_problem(SHAPE, Numbers(dtype, torch.device("cpu")))
    found = torch_ways.chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
    return problem.encoded(*found)


@pytest.mark.usefixtures("with_peers")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("job", TORCH)
@torch.no_grad()
def test_all_ways_of_a_job_have_one_result(job: str, dtype: torch.dtype) -> None:
    problem = encoded_problem(dtype)
    ways = ways_of(job, problem, "native")
    assert [way.name for way in ways if way.ours] == [OURS]
    for way in ways:
        if way.name != PRODUCT:
            CHECKS[job](problem, way.run(), PEERS)
    with_sparsify = job in ("encode", "decode", "step")
    assert ("sparsify" in {way.name for way in ways}) == with_sparsify


@pytest.mark.usefixtures("with_peers")
def test_a_library_that_does_not_load_is_said_when_it_is_timed(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsify", SimpleNamespace())
    *others, last = ways_of("decode", encoded_problem(), "native")
    assert len(others) == 3
    assert (last.name, last.ours) == ("peers", False)
    with pytest.raises(AttributeError):
        last.run()


@pytest.mark.usefixtures("with_peers")
def test_peers_steps_leave_no_gradient_to_add_to() -> None:
    problem = encoded_problem()
    size = torch_ways.squared_length(problem.x)
    for peer in peers.installed_peers(problem.weights, peers.GPU_PEERS, size):
        first, second = peer.step(problem.x), peer.step(problem.x)
        assert all(torch.equal(first[name], second[name]) for name in first), peer.name
    assert problem.W_dec.grad is None


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
    for way in ways_of("step", problem, "native"):
        found, *gradients = way.run()
        scale = float(loss.detach() / found)  # the loss of flex_sae has another scale
        assert (scale == pytest.approx(1.0, rel=1e-5)) == ("flex_sae" not in way.name)
        for ours, theirs in zip(gradients, expected, strict=True):
            off = (ours.double() * scale - theirs).norm() / theirs.norm()
            assert off < 1e-5, way.name


def test_the_chunked_encoder_is_that_of_the_whole_product(monkeypatch) -> None:
    problem = encoded_problem()
    inputs = problem.x, problem.W_enc, problem.b_enc, problem.k
    values, indices = torch_ways.encode(*inputs)
    for rows, latents in ((7, 601), (40, 5), (1, 9), (50, 598)):
        monkeypatch.setattr(torch_ways, "CHUNK_ROWS", rows)
        monkeypatch.setattr(torch_ways, "CHUNK_LATENTS", latents)
        found = torch_ways.chunked_encode(*inputs)
        torch.testing.assert_close(found[0], values)
        assert torch.equal(found[1], indices)
