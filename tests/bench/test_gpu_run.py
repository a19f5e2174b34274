"""Whole runs of `bench gpu` at toy size on a CPU's clock: what is found, and what goes wrong."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from twinsae.bench.gpu import cases, gates, matches, peers, run, variants
from twinsae.bench.gpu.clock import CpuClock
from twinsae.bench.gpu.plan import KERNELS, Plan
from twinsae.bench.gpu.results import Results
from twinsae.bench.gpu.run import Run
from twinsae.bench.inputs import Shape
from twinsae.bench.measurement import OURS, PRODUCT

DTYPES = (torch.bfloat16, torch.float32, torch.float16)
TOY = Plan(
    dtype=torch.bfloat16,
    minutes=3.0,
    backend="native",
    compiler="eager",
    shapes=(Shape(40, 64, 600, 8), Shape(33, 32, 500, 4)),
    compiled=0,
    match=(300, 16),
    match_after=1,
    square=32,
    rounds=3,
    odd=Shape(37, 19, 301, 7),
    real=(Shape(40, 64, 600, 8),),
    big=(2_000, 40),
    big_bytes=1,
    other_dtypes=(),
)
STEP = "cuBLAS + torch.topk + embedding_bag, autograd"
TORCH = {
    "encode": {PRODUCT, "cuBLAS + torch.topk", "chunked cuBLAS + torch.topk"},
    "decode": {"embedding_bag"},
    "autoencode": {PRODUCT, "cuBLAS + torch.topk + embedding_bag"},
    "grads": {"embedding_bag's backward", "scatter + cuBLAS"},
    "step": {PRODUCT, STEP},
}
OWN = {"autoencode": {f"{OURS}, two calls"}, "step": {f"{OURS}, forward fused"}}
COMPILED = {
    "encode": {"torch.compile: cuBLAS + torch.topk"},
    "decode": {"torch.compile: embedding_bag", "torch.compile: gather and sum"},
    "autoencode": {"torch.compile: cuBLAS + torch.topk + embedding_bag"},
    "grads": {"torch.compile: scatter + cuBLAS"},
    "step": {f"torch.compile: {STEP}"},
}


class Lines(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture(autouse=True)
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (peers, matches):
        monkeypatch.setattr(module, "find_spec", lambda _: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gpu.json"


def go(file: Path, plan: Plan = TOY, clock: CpuClock | None = None) -> Results:
    return Run(plan, clock or CpuClock(), file, Lines()).go()


def timed(results: Results) -> dict[tuple[str, int], set[str]]:
    """(op, D) -> the variants that were timed."""
    found: dict[tuple[str, int], set[str]] = {}
    for timing in results.timings:
        found.setdefault((timing.op, timing.D), set()).add(timing.variant)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_is_checked_and_timed(dtype: torch.dtype, file: Path) -> None:
    results = go(file, replace(TOY, dtype=dtype, compiled=1, other_dtypes=DTYPES))
    assert results.refused == []
    assert not results.wrong
    assert results.finished
    assert timed(results) == {
        (op, d_in): {OURS}
        | OWN.get(op, set())
        | TORCH[op]
        | (COMPILED[op] if d_in == 64 else set())
        for op in TORCH
        for d_in in (64, 32)
    }
    for t in results.timings:
        assert (t.N, t.L, t.k) == ((40, 600, 8) if t.D == 64 else (33, 500, 4))
        assert 0 < t.p20 <= t.ms <= t.p80
        assert t.rounds == 3
        assert t.tokens_per_second == pytest.approx(t.N / t.ms * 1e3)
        assert (t.of_product is None) == (t.of_square is None) == (t.op in ("decode", "grads"))
        told = t.op in ("encode", "autoencode") and t.variant == OURS
        assert (t.redone is None) == (not told)
        if t.variant == PRODUCT:
            assert t.of_product == pytest.approx(1.0)
            rate = 2 * t.N * t.D * t.L / t.ms * 1e3
            assert t.of_square == pytest.approx(rate / results.square_flops)
    (match,) = results.matches
    assert (match.variant, match.L, match.D) == (OURS, 300, 16)
    assert match.seconds > 0
    assert "found " in match.found
    dtypes = {check.dtype for check in results.checks}
    assert dtypes == {"bfloat16", "float32", "float16"}
    assert {check.kernel for check in results.checks} == {k for ks in KERNELS.values() for k in ks}
    assert [line for line in results.skipped if "torch.compile at all but the first 1" in line]
    saved = json.loads(file.read_text())
    assert saved["header"]["dtype"] == str(dtype).removeprefix("torch.")
    assert any(version.startswith("torch ") for version in saved["header"]["versions"])
    assert len(saved["timings"]) == len(results.timings)
    assert saved["finished"]


def test_only_what_is_asked_for(file: Path) -> None:
    results = go(file, replace(TOY, ops=("decode",)))
    assert {op for op, _ in timed(results)} == {"decode"}
    assert {check.kernel for check in results.checks} == set(KERNELS["decode"])
    assert results.matches == []


def wrong_decode(right):
    def spoilt(*given: object, **options: object) -> Tensor:
        out = right(*given, **options).clone()
        out[-1] += 0.5
        return out

    return spoilt


def test_a_wrong_kernel_is_not_timed_and_the_others_are(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(cases, "sparse_decode", wrong_decode(cases.sparse_decode))
    results = go(file)
    assert results.wrong
    assert results.finished
    for (op, _), found in timed(results).items():
        assert (OURS in found) == (op != "decode")
        assert TORCH[op] <= found
    wrong = [line for line in results.refused if line.startswith("wrong: sparse_decode, whole")]
    assert "the decoded rows: " in wrong[0]
    assert "numbers are off, the worst by 0.5 where 0 is allowed" in wrong[0]
    assert any(
        line.startswith("not timed: decode at N = 40") and line.endswith("sparse_decode is wrong")
        for line in results.refused
    )


def test_a_kernel_that_is_wrong_only_at_the_shape_timed_is_not_timed(
    file: Path, monkeypatch
) -> None:
    monkeypatch.setattr(variants, "sparse_decode", wrong_decode(variants.sparse_decode))
    results = go(file)
    assert results.wrong
    assert all(not check.problem for check in results.checks)
    assert all((OURS in found) == (op != "decode") for (op, _), found in timed(results).items())
    assert any("twinsae: the decoded rows:" in line for line in results.refused)


def spoil_encode(right):
    def spoilt(*given: object, **options: object) -> object:
        top = right(*given, **options)
        return top._replace(indices=top.indices.roll(1, 0))

    return spoilt


def test_a_step_with_other_latents_is_not_timed(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(variants, "linear_topk", spoil_encode(variants.linear_topk))
    results = go(file, replace(TOY, ops=("encode", "autoencode", "step")))
    for (op, _), found in timed(results).items():
        assert (OURS in found) == (op == "autoencode")
        assert f"{OURS}, two calls" not in found
    assert any("the squared error is off by" in line for line in results.refused)


@pytest.mark.parametrize("field", ["dW_dec", "dW_enc"])
def test_wrong_sums_are_not_timed(field: str, file: Path, monkeypatch) -> None:
    right = variants.latent_grads

    def spoilt(*given: object, **options: object) -> object:
        sums = right(*given, **options)
        return sums._replace(**{field: sums._asdict()[field] * 1.01})

    monkeypatch.setattr(variants, "latent_grads", spoilt)
    results = go(file, replace(TOY, ops=("grads",)))
    assert all(OURS not in found for found in timed(results).values())
    assert any(f"twinsae: {field}: " in line for line in results.refused)


def test_a_wrong_peer_is_not_timed_and_is_no_fault_of_ours(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(variants, "bag_decode", lambda *given: given[0] @ given[0].T)
    monkeypatch.setattr(variants, "chunked_encode", lambda *_: 1 / 0)
    results = go(file, replace(TOY, ops=("encode", "decode")))
    assert not results.wrong
    for (op, _), found in timed(results).items():
        assert OURS in found
        assert not found & {"embedding_bag", "chunked cuBLAS + torch.topk"}, op
    assert any("embedding_bag: the decoded rows: shape" in line for line in results.refused)
    assert any("ZeroDivisionError" in line for line in results.refused)


def test_memory_that_does_not_suffice_is_said(file: Path, monkeypatch) -> None:
    def too_much(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(variants, "dense_grads", too_much)
    monkeypatch.setattr(CpuClock, "free_bytes", lambda _: 2**30)
    results = go(file, replace(TOY, ops=("grads",), big_bytes=48 << 30))
    assert not results.wrong
    assert any(line.endswith("scatter + cuBLAS: out of memory") for line in results.refused)
    assert any("48 GiB free, and 1 GiB are" in line for line in results.skipped)
    assert not any("beyond" in check.case for check in results.checks)


def test_what_is_not_reached_is_listed(file: Path) -> None:
    results = go(file, replace(TOY, minutes=0.01, other_dtypes=DTYPES))
    assert results.finished
    assert not results.wrong
    assert results.timings == results.matches == []
    assert results.checks == []
    for expected in (
        "encode, decode, autoencode, grads, step at N = 40, D = 64, L = 600, k = 8: out of time",
        "encode, decode, autoencode, grads, step at N = 33, D = 32, L = 500, k = 4: out of time",
        "match of 300 x 300 latents, D = 16: out of time",
        "check of latent_grads, L D beyond 2,000, bfloat16: out of time",
        "check of linear_topk, whole numbers, bfloat16: out of time",
        "check of linear_topk, whole numbers, float16: out of time",
    ):
        assert expected in results.skipped


def test_the_time_may_end_in_the_middle_of_a_match(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(run, "SOLVING_SECONDS", 10**6)
    results = go(file, replace(TOY, ops=("match",)))
    assert results.matches == []
    assert any(line.endswith("twinsae: out of time") for line in results.skipped)
    assert not results.wrong


def test_a_match_that_is_not_proved_is_wrong(file: Path, monkeypatch) -> None:
    right = matches.match

    def unproved(*given: object, **options: object) -> object:
        found = right(*given, **options)
        return replace(found, upper_bound=found.upper_bound + 1.0)

    monkeypatch.setattr(matches, "match", unproved)
    results = go(file, replace(TOY, ops=("match",)))
    assert results.wrong
    assert results.matches == []
    assert any("not proved: the gap is 1" in line for line in results.refused)


def test_faiss_may_find_the_candidates_and_must_agree(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(matches, "find_spec", lambda name: name == "faiss" or None)
    asked: list[str] = []
    right = matches.match

    def other(*given: object, candidates: str, **options: object) -> object:
        asked.append(candidates)
        return right(*given, **options)

    monkeypatch.setattr(matches, "match", other)
    results = go(file, replace(TOY, ops=("match",)))
    assert asked == ["scan", "faiss"]
    assert [match.variant for match in results.matches] == [OURS, matches.FAISS]
    assert not results.wrong
    apart = [replace(results.matches[0], objective=value) for value in (1.0, 1.1)]
    with pytest.raises(matches.WrongError, match=r"objectives are 0\.1 apart"):
        matches.refuse_another_objective(apart)
    # A GPU's needs FAISS's GPU functions.
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    assert list(matches.match_variants(torch.device("cuda"))) == [OURS]
    sys.modules["faiss"].knn_gpu = None
    assert list(matches.match_variants(torch.device("cuda"))) == [OURS, matches.FAISS]


def test_a_lost_gpu_ends_the_run_and_keeps_what_there_is(file: Path, monkeypatch) -> None:
    def lost(*_: object, **__: object) -> Tensor:
        monkeypatch.setattr(CpuClock, "answers", lambda _: False)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(variants, "sparse_decode", lost)
    results = go(file)
    assert results.wrong
    assert not results.finished
    assert set(timed(results)) == {("encode", 64)}
    assert "decode at N = 40" in results.refused[-1]
    assert "the device answers no more" in results.refused[-1]
    assert len(json.loads(file.read_text())["timings"]) == len(results.timings)


def test_ctrl_c_keeps_what_there_is(file: Path, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(variants.VARIANTS, "grads", stop)
    with pytest.raises(KeyboardInterrupt):
        go(file)
    saved = json.loads(file.read_text())
    assert {timing["op"] for timing in saved["timings"]} == {"encode", "decode", "autoencode"}
    assert not saved["finished"]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_inputs_that_cannot_be_made_cost_their_shape_only(file: Path) -> None:
    plan = replace(TOY, ops=("decode",), shapes=(Shape(4, 4, 4, 9), *TOY.shapes))
    results = go(file, plan)
    assert {d_in for _, d_in in timed(results)} == {64, 32}
    assert results.refused[0].startswith("not timed: inputs at N = 4, D = 4, L = 4, k = 9")
    assert results.wrong


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
def with_peers(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_peers_are_compared_and_timed(dtype: torch.dtype, file: Path) -> None:
    results = go(file, replace(TOY, dtype=dtype, ops=("encode", "decode", "step")))
    assert results.refused == []
    found = timed(results)
    for d_in in (64, 32):
        assert all("sparsify" in found[op, d_in] for op in ("encode", "decode", "step"))
        assert "cuBLAS + torch.topk + flex_sae" in found["step", d_in]


@pytest.mark.usefixtures("with_peers")
def test_a_peer_that_is_broken_is_said_and_left_out(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(SparseCoder, "encode", lambda *_: (torch.ones(40, 8),) * 2)
    monkeypatch.setattr(sys.modules["flex_sae"], peers.FLEX_LOSS, lambda *_: _[2].sum() * 9)
    results = go(file, replace(TOY, ops=("encode", "step")))
    assert not results.wrong
    assert all("sparsify" not in own for own in timed(results).values())
    assert any("flex_sae: the squared error is off" in line for line in results.refused)
    monkeypatch.setitem(sys.modules, "sparsify", SimpleNamespace())
    results = go(file, replace(TOY, ops=("decode",)))
    assert any("peers: AttributeError" in line for line in results.refused)
    assert all(OURS in own for own in timed(results).values())
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
    shape = TOY.shapes[0]
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
