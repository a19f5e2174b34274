"""Whole runs of `bench gpu` at toy size with the clock of a CPU, with and without failures."""

import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import Tensor
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu import cases, matches, run, ways
from twinsae.bench.gpu.plan import KERNELS
from twinsae.bench.measurement import OURS, PRODUCT
from twinsae.bench.problem import Shape, dtype_name
from twinsae.bench.refuse import WrongResultError

DTYPES = (torch.bfloat16, torch.float32, torch.float16)
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_is_checked_and_timed(dtype: torch.dtype, toy) -> None:
    first = dtype == DTYPES[0]  # only the first one compiles, and checks other dtypes
    changes = {"compiled": 1, "other_dtypes": DTYPES} if first else {}
    results = toy.go(replace(toy.plan, dtype=dtype, **changes))
    assert results.refused == []
    assert not results.wrong
    assert results.finished
    assert toy.timed(results) == {
        (op, d_in): {OURS}
        | OWN.get(op, set())
        | TORCH[op]
        | (COMPILED[op] if first and d_in == 64 else set())
        for op in TORCH
        for d_in in (64, 32)
    }
    for t in results.timings:
        sizes = t.task.sizes
        assert sizes in [shape.sizes for shape in toy.plan.shapes]
        assert 0 < t.p20 <= t.seconds <= t.p80
        assert t.rounds == 3
        assert t.task.operations == 2 * sizes["N"] * sizes["D"] * sizes["L"]
        told = t.task.job in ("encode", "autoencode") and t.way == OURS
        assert (t.redone is None) == (not told)
    assert results.square_flops > 0
    assert len(results.matches) == 1
    dtypes = {check.dtype for check in results.checks}
    own = dtype_name(dtype)
    assert dtypes == ({"bfloat16", "float32", "float16"} if first else {own, "float32"})
    assert {check.kernel for check in results.checks} == {k for ks in KERNELS.values() for k in ks}
    left_out = f"torch.compile at all but the first {int(first)} shapes"
    assert any(left_out in line for line in results.skipped)
    saved = json.loads(toy.file.read_text())
    assert saved["header"]["dtype"] == own
    assert any(version.startswith("torch ") for version in saved["header"]["versions"])
    assert len(saved["timings"]) == len(results.timings)
    assert saved["finished"]


def test_a_match_is_timed_and_says_what_it_found(toy) -> None:
    (match,) = toy.go(replace(toy.plan, ops=("match",))).matches
    assert (match.way, match.task.sizes) == (OURS, {"L": 300, "D": 16})
    assert match.seconds > 0
    certified, _, found, host = match.notes
    assert certified.startswith("certified, gap ")
    assert found.startswith("found ")
    assert host.startswith("host memory ")


def test_only_what_is_asked_for(toy) -> None:
    results = toy.go(replace(toy.plan, ops=("decode",)))
    assert {op for op, _ in toy.timed(results)} == {"decode"}
    assert {check.kernel for check in results.checks} == set(KERNELS["decode"])
    assert results.matches == []


def wrong_decode(right):
    def spoilt(*given: object, **options: object) -> Tensor:
        out = right(*given, **options).clone()
        out[-1] += 0.5
        return out

    return spoilt


def test_a_wrong_kernel_is_not_timed_and_the_others_are(toy, monkeypatch) -> None:
    monkeypatch.setattr(cases, "sparse_decode", wrong_decode(cases.sparse_decode))
    results = toy.go(replace(toy.plan, ops=("encode", "decode")))
    assert results.wrong
    assert results.finished
    for (op, _), found in toy.timed(results).items():
        assert (OURS in found) == (op != "decode")
        assert TORCH[op] <= found
    wrong = [line for line in results.refused if line.startswith("wrong: sparse_decode, whole")]
    assert "the decoded rows: " in wrong[0]
    assert "numbers are off, the worst by 0.5 where 0 is allowed" in wrong[0]
    assert any(
        line.startswith("not timed: decode at N = 40") and line.endswith("sparse_decode is wrong")
        for line in results.refused
    )


def test_a_kernel_that_is_wrong_only_at_the_shape_timed_is_not_timed(toy, monkeypatch) -> None:
    monkeypatch.setattr(ways, "sparse_decode", wrong_decode(ways.sparse_decode))
    results = toy.go(replace(toy.plan, ops=("encode", "decode")))
    assert results.wrong
    assert all(not check.problem for check in results.checks)
    assert all((OURS in found) == (op != "decode") for (op, _), found in toy.timed(results).items())
    assert any("twinsae: the decoded rows:" in line for line in results.refused)


def spoil_encode(right):
    def spoilt(*given: object, **options: object) -> object:
        top = right(*given, **options)
        return top._replace(indices=top.indices.roll(1, 0))

    return spoilt


def test_a_step_with_other_latents_is_not_timed(toy, monkeypatch) -> None:
    monkeypatch.setattr(ways, "linear_topk", spoil_encode(ways.linear_topk))
    results = toy.go(replace(toy.plan, ops=("encode", "autoencode", "step")))
    for (op, _), found in toy.timed(results).items():
        assert (OURS in found) == (op == "autoencode")
        assert f"{OURS}, two calls" not in found
    assert any("the squared error is off by" in line for line in results.refused)


@pytest.mark.parametrize("field", ["dW_dec", "dW_enc"])
def test_wrong_sums_are_not_timed(field: str, toy, monkeypatch) -> None:
    right = ways.latent_grads

    def spoilt(*given: object, **options: object) -> object:
        sums = right(*given, **options)
        return sums._replace(**{field: sums._asdict()[field] * 1.01})

    monkeypatch.setattr(ways, "latent_grads", spoilt)
    results = toy.go(replace(toy.plan, ops=("grads",)))
    assert all(OURS not in found for found in toy.timed(results).values())
    assert any(f"twinsae: {field}: " in line for line in results.refused)


def test_a_wrong_peer_is_not_timed_and_is_no_fault_of_ours(toy, monkeypatch) -> None:
    monkeypatch.setattr(ways, "bag_decode", lambda *given: given[0] @ given[0].T)
    monkeypatch.setattr(ways, "chunked_encode", lambda *_: 1 / 0)
    results = toy.go(replace(toy.plan, ops=("encode", "decode")))
    assert not results.wrong
    for (op, _), found in toy.timed(results).items():
        assert OURS in found
        assert not found & {"embedding_bag", "chunked cuBLAS + torch.topk"}, op
    assert any("embedding_bag: the decoded rows: shape" in line for line in results.refused)
    assert any("ZeroDivisionError" in line for line in results.refused)


def test_memory_that_does_not_suffice_is_said(toy, monkeypatch) -> None:
    def too_much(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ways, "dense_grads", too_much)
    monkeypatch.setattr(CpuClock, "free_bytes", lambda _: 2**30)
    results = toy.go(replace(toy.plan, ops=("grads",), big_bytes=48 << 30))
    assert not results.wrong
    assert any(line.endswith("scatter + cuBLAS: out of memory") for line in results.refused)
    assert any("48 GiB of memory, and 1 GiB are free" in line for line in results.skipped)
    assert not any("beyond" in check.case for check in results.checks)


def test_what_is_not_reached_is_listed(toy) -> None:
    results = toy.go(replace(toy.plan, minutes=0.01, other_dtypes=DTYPES))
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


def test_the_time_may_end_in_the_middle_of_a_match(toy, monkeypatch) -> None:
    monkeypatch.setattr(run, "SOLVING_SECONDS", 10**6)
    results = toy.go(replace(toy.plan, ops=("match",)))
    assert results.matches == []
    assert any(line.endswith("twinsae: out of time") for line in results.skipped)
    assert not results.wrong


def test_a_match_that_is_not_proved_is_wrong(toy, monkeypatch) -> None:
    right = matches.match

    def unproved(*given: object, **options: object) -> object:
        found = right(*given, **options)
        return replace(found, upper_bound=found.upper_bound + 1.0)

    monkeypatch.setattr(matches, "match", unproved)
    results = toy.go(replace(toy.plan, ops=("match",)))
    assert results.wrong
    assert results.matches == []
    assert any("not proved: the gap is 1" in line for line in results.refused)


def test_faiss_may_find_the_candidates_and_must_agree(toy, monkeypatch) -> None:
    monkeypatch.setattr(matches, "find_spec", lambda name: name == "faiss" or None)
    asked: list[str] = []
    right = matches.match

    def other(*given: object, candidates: str, **options: object) -> object:
        asked.append(candidates)
        return right(*given, **options)

    monkeypatch.setattr(matches, "match", other)
    results = toy.go(replace(toy.plan, ops=("match",)))
    assert asked == ["scan", "faiss"]
    assert [match.way for match in results.matches] == [OURS, matches.FAISS]
    assert not results.wrong
    with pytest.raises(WrongResultError, match=r"objectives are 0\.1 apart"):
        matches.refuse_another_objective([1.0, 1.1], 300)
    # On a GPU, faiss must have its GPU functions.
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    assert list(matches.match_ways(torch.device("cuda"))) == [OURS]
    sys.modules["faiss"].knn_gpu = None
    assert list(matches.match_ways(torch.device("cuda"))) == [OURS, matches.FAISS]


def test_a_lost_gpu_ends_the_run_and_keeps_what_there_is(toy, monkeypatch) -> None:
    def lost(*_: object, **__: object) -> Tensor:
        monkeypatch.setattr(CpuClock, "answers", lambda _: False)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(ways, "sparse_decode", lost)
    results = toy.go(replace(toy.plan, ops=("encode", "decode", "grads")))
    assert results.wrong
    assert not results.finished
    assert set(toy.timed(results)) == {("encode", 64)}
    assert "decode at N = 40" in results.refused[-1]
    assert "the device does not work any more" in results.refused[-1]
    assert len(json.loads(toy.file.read_text())["timings"]) == len(results.timings)


def test_ctrl_c_keeps_what_there_is(toy, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(ways.WAYS, "grads", stop)
    with pytest.raises(KeyboardInterrupt):
        toy.go(replace(toy.plan, ops=("encode", "grads")))
    saved = json.loads(toy.file.read_text())
    assert {timing["task"]["job"] for timing in saved["timings"]} == {"encode"}
    assert not saved["finished"]
    assert [path.name for path in toy.file.parent.iterdir()] == [toy.file.name]


def test_inputs_that_cannot_be_made_cost_their_shape_only(toy) -> None:
    plan = replace(toy.plan, ops=("decode",), shapes=(Shape(4, 4, 4, 9), *toy.plan.shapes))
    results = toy.go(plan)
    assert {d_in for _, d_in in toy.timed(results)} == {64, 32}
    assert results.refused[0].startswith("not timed: inputs at N = 4, D = 4, L = 4, k = 9")
    assert results.wrong


def test_numbers_are_on_disk_as_soon_as_they_are_known(toy) -> None:
    seen: list[int] = []

    def tell(line: str) -> None:
        if line.startswith("decode at"):
            seen.append(len(json.loads(toy.file.read_text())["timings"]))

    results = run.Run(replace(toy.plan, ops=("decode",)), CpuClock(), toy.file, tell).go()
    assert seen == [2, 4]
    assert len(results.timings) == 4
