"""The variants of `bench gpu`: ours by each route, torch's, and stand-ins for peers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from twinsae.bench.gpu import cases, gates, peers, routes, run, variants
from twinsae.bench.inputs import Shape
from twinsae.bench.measurement import OURS, PRODUCT

SHAPE = Shape(40, 64, 600, 8)


class SparseCoder(nn.Module):
    """sparsify's interface around plain torch."""

    def __init__(self, d_in: int, config: SimpleNamespace, device=None, dtype=None) -> None:
        super().__init__()
        self.k = config.k
        self.encoder = nn.Linear(d_in, config.num_latents, device=device, dtype=dtype)
        self.W_dec = nn.Parameter(self.encoder.weight.detach().clone())
        self.b_dec = nn.Parameter(torch.zeros(d_in, device=device, dtype=dtype))

    def encode(self, x: Tensor) -> SimpleNamespace:
        scores = torch.relu(self.encoder(x - self.b_dec))
        values, indices = scores.topk(self.k)
        return values.flip(1), indices.flip(1), scores

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        return torch.einsum("nk,nkd->nd", values, self.W_dec[indices]) + self.b_dec

    def forward(self, x: Tensor, *, total_variance: Tensor) -> SimpleNamespace:
        error = self.decode(*self.encode(x)[:2]) - x
        return SimpleNamespace(fvu=error.float().square().sum() / total_variance)


def flex_loss(
    indices: Tensor, weight: Tensor, vals: Tensor, bias: Tensor, target: Tensor
) -> Tensor:
    decoded = torch.einsum("nk,nkd->nd", vals, weight[indices]) + bias
    return (decoded - target).float().square().sum(1).mean()


@pytest.fixture
def with_peers(toy, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr(peers, "find_spec", lambda name: name != "flexsae" or None)
    fakes = {
        "sparsify": {"SparseCoder": SparseCoder, "SparseCoderConfig": SimpleNamespace},
        "flex_sae": {peers.FLEX_LOSS: staticmethod(flex_loss)},
    }
    for name, contents in fakes.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**contents))
    monkeypatch.setenv("SPARSIFY_DISABLE_TRITON", "1")


@pytest.mark.usefixtures("with_peers")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peers_are_compared_and_timed(dtype: torch.dtype, toy) -> None:
    results = toy.go(replace(toy.plan, dtype=dtype, ops=("encode", "decode", "step")))
    assert results.refused == []
    found = toy.timed(results)
    for d_in in (64, 32):
        assert all("sparsify" in found[op, d_in] for op in ("encode", "decode", "step"))
        assert "cuBLAS + torch.topk + flex_sae" in found["step", d_in]


@pytest.mark.usefixtures("with_peers")
def test_a_peer_that_is_broken_is_said_and_left_out(toy, monkeypatch) -> None:
    monkeypatch.setattr(SparseCoder, "encode", lambda *_: (torch.ones(40, 8),) * 2)
    monkeypatch.setattr(sys.modules["flex_sae"], peers.FLEX_LOSS, lambda *_: _[2].sum() * 9)
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
    problem = variants_problem()
    size = variants.squared_length(problem.x)
    for name, step in peers.steps(problem, size).items():
        first, second = step(), step()
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), name
    assert problem.W_dec.grad is None


def variants_problem():
    shape = SHAPE
    problem = run.timing_problem(shape, run.Numbers(torch.float32, torch.device("cpu")))
    found = variants.chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
    return problem.encoded(*found)


@pytest.mark.usefixtures("with_peers")
def test_all_steps_have_the_gradients_of_float64() -> None:
    problem = variants_problem()
    leaves = [
        t.double().requires_grad_() for t in (problem.W_dec, problem.W_enc, problem.b_enc)
    ]  # fmt: skip
    W_dec, W_enc, b_enc = leaves
    x = problem.x.double()
    top = (x @ W_enc.T + b_enc).topk(problem.k)
    decoded = torch.einsum("nk,nkd->nd", top.values, W_dec[top.indices]) + problem.b_dec
    loss = (decoded - x).square().sum() / x.square().sum() * len(x)
    expected = torch.autograd.grad(loss, leaves)[:2]
    means = variants.Means("native", "eager")
    for variant in variants.step_variants(problem, means):
        if variant.name == PRODUCT:
            continue
        found, *gradients = variant.run()
        scale = float(loss.detach() / found)  # flex_sae's is another
        assert (scale == pytest.approx(1.0, rel=1e-5)) == ("flex_sae" not in variant.name)
        for ours, theirs in zip(gradients, expected, strict=True):
            off = (ours.double() * scale - theirs).norm() / theirs.norm()
            assert off < 1e-5, variant.name


def test_the_chunked_encoder_is_that_of_the_whole_product(monkeypatch) -> None:
    problem = variants_problem()
    inputs = problem.x, problem.W_enc, problem.b_enc, problem.k
    values, indices = variants.torch_encode(*inputs)
    for rows, latents in ((7, 601), (40, 5), (1, 9), (50, 598)):
        monkeypatch.setattr(variants, "CHUNK_ROWS", rows)
        monkeypatch.setattr(variants, "CHUNK_LATENTS", latents)
        found = variants.chunked_encode(*inputs)
        torch.testing.assert_close(found[0], values)
        assert torch.equal(found[1], indices)


def test_the_gates_squared_error_is_that_of_all_rows(monkeypatch) -> None:
    problem = variants_problem()
    monkeypatch.setattr(gates, "_AT_ONCE", 7)
    decoded = torch.einsum("nk,nkd->nd", problem.values, problem.W_dec[problem.indices])
    error = float((decoded + problem.b_dec - problem.x).square().sum())
    assert gates._squared_error(problem) == pytest.approx(error, rel=1e-6)


class FakePlans:
    """What `kernels.topk.triton.plans` offers, for a backend without a choice."""

    Route = Literal["fused", "chunked"]

    def __init__(self) -> None:
        self.forced_now: list[str] = []
        self.used: list[str] = []
        self.asked: list[tuple[object, ...]] = []

    def Question(self, *question: object) -> SimpleNamespace:  # noqa: N802
        self.asked.append(question)
        plans = [SimpleNamespace(route=route) for route in ("chunked", "fused", "fused")]
        return SimpleNamespace(plans=lambda: plans)

    @contextmanager
    def forced(self, op: str, plan: SimpleNamespace) -> Iterator[None]:
        assert op == "linear_topk"
        self.forced_now.append(plan.route)
        try:
            yield
        finally:
            self.forced_now.pop()

    def tune(self, call, timer) -> str:
        assert timer(call) > 0
        return "chunked 128x128"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> FakePlans:
    fake = FakePlans()
    monkeypatch.setattr(routes, "import_module", lambda _: fake)
    for module in (run, variants):
        monkeypatch.setattr(module, "route_names", lambda _: ("fused", "chunked"))
    for module in (cases, variants):
        monkeypatch.setattr(module, "linear_topk", taken(fake, module.linear_topk))
    return fake


def taken(fake: FakePlans, right):
    def call(*given: object, **options: object) -> object:
        fake.used.extend(fake.forced_now)
        return right(*given, **options)

    return call


def test_each_route_is_checked_and_timed_and_the_fastest_taken(plans, toy) -> None:
    results = toy.go(replace(toy.plan, ops=("encode",)))
    assert not results.wrong
    for d_in in (64, 32):
        assert {f"{OURS}, fused", f"{OURS}, chunked"} < toy.timed(results)["encode", d_in]
    assert {"by the fused route", "by the chunked route"} < {c.case for c in results.checks}
    assert set(plans.used) == {"fused", "chunked"}
    assert results.tuned == {
        "N = 40, D = 64, L = 600, k = 8": "chunked 128x128",
        "N = 33, D = 32, L = 500, k = 4": "chunked 128x128",
    }
    cpu = torch.device("cpu")
    assert ("linear_topk", cpu, torch.bfloat16, 40, 600, 64, 8) in plans.asked
    told = {t.variant for t in results.timings if t.redone is not None}
    assert told == {OURS, f"{OURS}, fused", f"{OURS}, chunked"}


def test_a_route_that_is_wrong_is_caught(plans, toy, monkeypatch) -> None:
    right = cases.linear_topk

    def wrong(*given: object, **options: object) -> object:
        top = right(*given, **options)
        return top._replace(values=top.values * 1.1) if plans.forced_now == ["chunked"] else top

    monkeypatch.setattr(cases, "linear_topk", wrong)
    results = toy.go(replace(toy.plan, ops=("encode",)))
    assert [c.case for c in results.checks if c.problem] == ["by the chunked route"]
    assert not {OURS, f"{OURS}, fused"} & toy.timed(results)["encode", 64]
    assert results.tuned == {}


def test_other_backends_have_no_routes() -> None:
    assert routes.route_names("native") == routes.route_names("reference") == ()
