"""The choice of a plan for a Triton scan. test_triton.py says when this runs."""

import json
from pathlib import Path

import pytest
import torch
from twinsae.kernels.backends import interpreting
from twinsae.kernels.topk import linear_topk, mutual_topk, pairs_above

if not interpreting():
    pytest.skip("TRITON_INTERPRET is not 1", allow_module_level=True)

from twinsae.kernels.topk.triton import plans, tiles
from twinsae.kernels.topk.triton.plans import Plan, Question, plan_for, tune
from twinsae.kernels.topk.triton.tiles import INTERPRETED, Tile

FUSED, CHUNKED = Plan("fused", INTERPRETED), Plan("chunked", INTERPRETED)
X, WEIGHT = torch.ones(5, 3), torch.ones(40, 3)


@pytest.fixture(autouse=True)
def cache_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plans._read.cache_clear()
    yield tmp_path / "twinsae" / "plans.json"
    plans._read.cache_clear()


def encode() -> None:
    """Ask for a plan as linear_topk does for 40 latents."""
    plan_for("linear_topk", X, 40, 3)


def timer(seconds: dict[Plan, float]):
    """Return the time that a plan is said to take."""
    return lambda call: (call(), seconds[plans._forced["linear_topk"]])[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dim", [64, 4096])
def test_the_first_plan_is_fused(dtype: torch.dtype, dim: int) -> None:
    # It was faster on an H100 for every dtype and width that was measured: docs/benchmarks-gpu.md.
    x = torch.empty(2, dim, dtype=dtype)
    for op in ("linear_topk", "mutual_topk", "pairs_above"):
        assert plan_for(op, x, 500, 4) == FUSED


@pytest.mark.parametrize("fastest", [FUSED, CHUNKED])
def test_the_fastest_plan_is_kept_for_calls_of_this_size(cache_file: Path, fastest: Plan) -> None:
    seconds = {FUSED: 2.0, CHUNKED: 2.0} | {fastest: 1.0}
    assert tune(encode, timer(seconds)) == fastest
    assert list(json.loads(cache_file.read_text()).values()) == [str(fastest)]
    assert plan_for("linear_topk", torch.ones(8, 4), 64, 4) == fastest  # the same powers of two
    for other in ((9, 4, 64, 4), (8, 5, 64, 4), (8, 4, 65, 4), (8, 4, 64, 5)):
        rows, dim, latents, k = other
        assert plan_for("linear_topk", torch.ones(rows, dim), latents, k) == FUSED
    assert plan_for("linear_topk", torch.ones(8, 4).half(), 64, 4) == FUSED


def test_measurements_are_added_to_those_of_other_processes(cache_file: Path) -> None:
    tune(encode, timer({FUSED: 2.0, CHUNKED: 1.0}))
    text = json.loads(cache_file.read_text())
    cache_file.write_text(json.dumps(text | {"another": "plan"}))
    tune(encode, timer({FUSED: 1.0, CHUNKED: 2.0}))
    assert json.loads(cache_file.read_text()) == dict.fromkeys(text, str(FUSED)) | {
        "another": "plan"
    }
    assert [path.name for path in cache_file.parent.iterdir()] == ["plans.json"]


@pytest.mark.parametrize("text", ["{", "[1, 2]", "\0"])
def test_a_broken_file_is_left_out_with_a_warning(cache_file: Path, text: str) -> None:
    cache_file.parent.mkdir()
    cache_file.write_text(text)
    with pytest.warns(UserWarning, match="plans.json: left out"):
        assert plan_for("linear_topk", X, 40, 3) == FUSED
    with pytest.warns(UserWarning, match="left out"):
        assert tune(encode, timer({FUSED: 2.0, CHUNKED: 1.0})) == CHUNKED
    assert plan_for("linear_topk", X, 40, 3) == CHUNKED


def test_a_plan_that_is_no_longer_listed_is_left_out(cache_file: Path) -> None:
    tune(encode, timer({FUSED: 2.0, CHUNKED: 1.0}))
    gone = Plan("chunked", Tile(1, 2, 3, 4, 5))
    cache_file.write_text(cache_file.read_text().replace(str(CHUNKED), str(gone)))
    plans._read.cache_clear()
    assert plan_for("linear_topk", X, 40, 3) == FUSED


def test_every_scan_can_be_tuned_and_nothing_else() -> None:
    zero = torch.zeros(5).double()
    others = torch.zeros(40).double()
    for call in (
        lambda: linear_topk(X, WEIGHT, None, 3, backend="triton"),
        lambda: mutual_topk(X, WEIGHT, 1, backend="triton"),
        lambda: pairs_above(X, WEIGHT, zero, others, margin=0.0, capacity=300, backend="triton"),
    ):
        assert tune(call, lambda _: 1.0) == FUSED
    with pytest.raises(RuntimeError, match="no plan to choose"):
        tune(lambda: None, lambda _: 1.0)


def test_nothing_is_tuned_while_a_graph_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "capturing", lambda: True)
    with pytest.raises(RuntimeError, match="graph"):
        tune(encode, lambda _: 1.0)


def test_gpus_choose_among_the_cuts_that_are_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "interpreting", lambda: False)
    question = Question("linear_topk", torch.device("cpu"), torch.bfloat16, 8, 9, 64, 4)
    counts = {}
    for arch in (80, 86, 90, 100):
        monkeypatch.setattr(plans, "capability", lambda _, arch=arch: arch)
        offered = question.plans()
        counts[arch] = len(offered)
        assert offered[0].route == "fused"
        assert offered[0].tile.described == (arch == 90)
        assert [plan.route for plan in offered].count("chunked") == 1
        assert len({str(plan) for plan in offered}) == len(offered)
    assert counts == {80: 3, 86: 2, 90: 5, 100: 4}


def test_all_cuts_give_equal_bits() -> None:
    lists = tiles.HALF_TILES.values()
    assert len({tile.depth for listed in lists for tile in listed}) == 1
    assert all(sum(not tile.archs for tile in listed) == 1 for listed in lists)
