"""Every stage of `bench gpu` at toy size on the CPU, with right kernels and with a wrong one."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from twinsae.bench.gpu import big, checks, float32, inductor, match, ours, parts, times
from twinsae.bench.gpu.compile import compile_share
from twinsae.bench.gpu.ours import JOBS
from twinsae.bench.gpu.records import STEPS, Record, read, results, unfinished
from twinsae.bench.gpu.setting import Setting, toy_setting
from twinsae.bench.gpu.stages import LIMITS, MINUTES, STAGES
from twinsae.bench.gpu.steps import Steps
from twinsae.bench.gpu.ways import TORCH
from twinsae.bench.measurement import OURS, PRODUCT
from twinsae.bench.refuse import WrongResultError
from twinsae.cli.bench.gpu_report import write_reports

Found = dict[tuple[str, str], Record]


@pytest.fixture
def setting() -> Setting:
    return toy_setting()


def go(folder: Path, setting: Setting, stage: str) -> dict[str, Record]:
    """Run a stage in this process; return {step: what it recorded}."""
    file = folder / STEPS
    file.touch()
    with torch.no_grad():
        run = import_module(f"twinsae.bench.gpu.{stage}").run
        run(setting, Steps(stage, file, setting.clock))
    assert unfinished(read(file)) == []
    return {step: r for (own, step), r in results(read(file)).items() if own == stage}


@pytest.mark.usefixtures("without_peers")
def test_all_stages_find_our_kernels_right(tmp_path: Path, setting: Setting) -> None:
    found = {s: go(tmp_path, setting, s) for s in STAGES if s not in ("compile", "checks")}
    compile_share(setting, tmp_path / STEPS, 0)
    steps = [r for own in found.values() for r in own.values()]
    assert [r for r in steps if "problem" in r] == []
    assert list(found["env"]) == ["versions", "copy", "bf16 32^3", "fp16 32^3", "tf32 32^3"]
    kernels = ["encode", "above", "decode", "dot", "error", "grads", "compressed", "autoencode"]
    assert list(found["parts"]) == [f"D {d} {job}" for d in (16, 8) for job in kernels]
    for job in TORCH:
        assert {f"D 16 {job}: {OURS}", f"D 8 {job}: {OURS}"} < set(found["times"])
    assert f"D 16 encode: {PRODUCT}" in found["times"]
    assert found["times"]["D 16 encode: twinsae"]["redone"] == 0
    assert all(abs(r["gap"]) < 1e-9 for r in found["match"].values())
    assert "D 8 encode torch.float32, packed" in found["float32"]
    assert found["float32"]["pairs_above 20 x 8"]["listed"] > 0
    assert len(found["big"]) == 2 * (len(JOBS) - 1)
    assert "D 8 grads: torch.compile: scatter + cuBLAS" in found["inductor"]
    for stage in ("parts", "times", "float32", "inductor"):
        assert all(0 < r["p20"] <= r["ms"] <= r["p80"] for r in found[stage].values())
    calls = [r for (stage, _), r in results(read(tmp_path / STEPS)).items() if stage == "compile"]
    assert len(calls) == 2 * len(kernels) + 2 + 2
    assert all(r["first_call_s"] >= 0 for r in calls)
    assert not write_reports(tmp_path).wrong


def wrong(right):
    """Return a decoder whose last number is off."""

    def spoilt(p, backend):
        (found,) = right(p, backend)
        found.view(-1)[-1] += 0.5
        return [found]

    return spoilt


@pytest.mark.parametrize("stage", [parts, times, big])
def test_what_is_wrong_is_not_timed(
    stage, tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(JOBS, "decode", wrong(JOBS["decode"]))
    found = go(tmp_path, setting, stage.__name__.rpartition(".")[2])
    bad = {name for name, r in found.items() if "problem" in r}
    assert len(bad) == 2
    assert all("decode" in name for name in bad)
    for name in bad:
        assert "the decoded rows: 1 of" in found[name]["problem"]
        assert "ms" not in found[name]
    assert write_reports(tmp_path).wrong


def test_a_wrong_float32_scan_and_a_match_without_proof_are_refused(
    tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = float32.mutual_topk

    def spoilt(*given, **options):
        best = right(*given, **options)
        return best._replace(row_values=best.row_values + 0.5)

    monkeypatch.setattr(float32, "mutual_topk", spoilt)
    found = go(tmp_path, setting, "float32")
    assert [name for name, r in found.items() if "problem" in r] == ["mutual_topk 20 x 8"]
    unproved = SimpleNamespace(certified=False, gap=0.25)
    monkeypatch.setattr(match, "match", lambda *_: unproved)
    found = go(tmp_path, setting, "match")
    assert all(r["problem"].endswith("not proved: the gap is 0.25") for r in found.values())


@pytest.mark.usefixtures("with_peers")
def test_a_broken_peer_is_no_fault_of_ours(
    tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder = sys.modules["sparsify"].SparseCoder
    monkeypatch.setattr(coder, "decode", lambda *_: torch.ones(5, 16))
    found = go(tmp_path, setting, "times")
    bad = [name for name, r in found.items() if "problem" in r]
    assert "D 16 decode: sparsify" in bad
    assert all(found[name]["ours"] is False for name in bad)
    assert "ms" in found["D 16 encode: sparsify"]
    assert "ms" in found["D 16 step: cuBLAS + torch.topk + flex_sae"]
    assert not write_reports(tmp_path).wrong


def test_inputs_that_cannot_be_made_are_a_result(
    tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Setting, "problem", full)
    for stage in (times, inductor, parts):
        found = go(tmp_path, setting, stage.__name__.rpartition(".")[2])
        assert {r["problem"] for r in found.values()} == {"OutOfMemoryError: CUDA out of memory."}


def test_big_tensors_need_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = toy_setting()
    monkeypatch.setattr(setting.clock, "free_bytes", lambda: 0)
    assert "0 are free" in go(tmp_path, setting, "big")["memory"]["left_out"]
    assert big.JOBS is ours.JOBS


TESTS = """
import pytest
@pytest.mark.first_contact
def test_right(device): assert device == "cpu"
@pytest.mark.first_contact
def test_other(): assert {other}
def test_without_the_marker(): assert False
"""
CONFTEST = """
import pytest
def pytest_addoption(parser): parser.addoption("--device")
def pytest_configure(config): config.addinivalue_line("markers", "first_contact: few")
@pytest.fixture
def device(request): return request.config.getoption("--device")
"""


@pytest.mark.parametrize("other", [True, False])
def test_the_contract_suite_is_called(
    other: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS.format(other=other))
    monkeypatch.setattr(checks, "TESTS", tmp_path)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    whole = Setting(toy_setting().clock, "reference")
    if other:
        assert checks.first_contact(whole)["tests"].startswith("2 passed, 1 deselected")
        assert checks.first_contact(toy_setting())["tests"].startswith("2/3 tests collected")
    else:
        with pytest.raises(
            WrongResultError, match=r"^exit code 1, 1 tests passed; 1 failed.*FAILED"
        ):
            checks.first_contact(whole)
        monkeypatch.setattr(checks, "TESTING", 0.01)
        with pytest.raises(WrongResultError, match=r"^out of time, 0 tests passed"):
            checks.first_contact(whole)
    monkeypatch.setattr(checks, "TESTS", tmp_path / "nowhere")
    assert "not beside the package" in checks.first_contact(whole)["left_out"]


def test_all_stages_fit_into_the_minutes() -> None:
    assert set(LIMITS) == set(STAGES)
    assert sum(LIMITS.values()) <= 60 * MINUTES - 10


def test_every_tile_of_a_gpu_comes_first_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = pytest.importorskip("twinsae.kernels.topk.triton.tiles")
    monkeypatch.setattr(parts, "interpreting", lambda: False)
    monkeypatch.setattr(tiles, "capability", lambda _: 90)
    listed = tiles.HALF_TILES["linear_topk"]
    seen: list[object] = []

    def encode(*_: object) -> None:
        seen.append(tiles.HALF_TILES["linear_topk"][0])

    monkeypatch.setattr(parts, "encode", encode)
    for name, (job, call) in parts.parts(Setting(toy_setting().clock, "triton")).items():
        if job == "encode":
            call(SimpleNamespace(x=torch.ones(1)))
            assert name.startswith(f"{seen[-1].rows}x{seen[-1].cols}x{seen[-1].depth} warps")
    assert tuple(seen) == tuple(t for t in listed if not t.archs or 90 in t.archs)
    assert len(seen) > 1
    assert tiles.HALF_TILES["linear_topk"] == listed
