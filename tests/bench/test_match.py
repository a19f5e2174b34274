"""Whole matches at toy size: what is printed, and what is compared."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from twinsae.bench import dense_solvers
from twinsae.bench import match as bench
from twinsae.bench.match import Pair, bench_match, planted_files, planted_found
from twinsae.bench.measurement import Measurement
from twinsae.bench.planted import planted_pair
from twinsae.bench.refuse import WrongResultError
from twinsae.cli.bench import match as command
from twinsae.cli.main import main
from twinsae.common.progress import silent
from twinsae.matching import match
from twinsae.sae import SAE, SAEConfig, save_sae

TOY = ["--latents", "60", "--d-in", "8"]


class SimpleLinearSumAssignment:
    """A stand-in for the class of OR-tools, by scipy, for arcs that form a square."""

    def __init__(self) -> None:
        self._costs: list[np.ndarray] = []

    def add_arcs_with_cost(self, left: np.ndarray, right: np.ndarray, cost: np.ndarray) -> None:
        assert (left == len(self._costs)).all()
        assert (right == np.arange(len(right))).all()
        assert cost.dtype == np.int64
        self._costs.append(cost)

    def solve(self) -> None:
        _, self._columns = linear_sum_assignment(np.array(self._costs))

    def right_mate(self, row: int) -> int:
        return int(self._columns[row])


@pytest.fixture
def with_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all dense solvers be found, whether or not they are installed."""
    for name in ("ortools", "ortools.graph", "ortools.graph.python"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    or_tools = SimpleNamespace(SimpleLinearSumAssignment=SimpleLinearSumAssignment)
    monkeypatch.setitem(sys.modules, "ortools.graph.python.linear_sum_assignment", or_tools)
    lapx = SimpleNamespace(lapjv=lambda cost: (0.0, linear_sum_assignment(cost)[1], None))
    monkeypatch.setitem(sys.modules, "lap", lapx)
    monkeypatch.setattr(dense_solvers, "find_spec", lambda _: object())
    # Another process would not have the stand-ins, so all run here.
    monkeypatch.setattr(bench, "solve_in_child", solved_here)


def solved_here(solver: dense_solvers.DenseSolver, cost: np.ndarray, _: float):
    return dense_solvers.Solved(solver.solve(cost), 0.1, 0)


def named(name: str) -> dense_solvers.DenseSolver:
    return next(s for s in dense_solvers.dense_solvers() if s.name == name)


def measured(pair: Pair) -> dict[str, Measurement]:
    """Measure all ways of a match; return them by way."""
    return {one.way: one for one in bench_match(pair, against=True, progress=silent)}


def test_a_solver_in_a_process_of_its_own() -> None:
    cost = np.random.default_rng(0).random((30, 30))
    for solver in (named("scipy"), named("lapjv")):
        solved = dense_solvers.solve_in_child(solver, cost, 60)
        np.testing.assert_array_equal(solved.columns, linear_sum_assignment(cost)[1])
        assert 0 < solved.seconds < 60
        assert solved.peak_bytes >= 0


def test_a_solver_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dense_solvers.solve_in_child(named("scipy"), np.zeros((2, 2)), 0.0) is None
    monkeypatch.setattr(bench, "solve_in_child", lambda *_: None)
    made = planted_pair(60, 8)
    stopped = measured(Pair(made.a, made.b, ""))["scipy, dense"]
    assert stopped.notes == ["stopped after 7,200 s"]
    assert stopped.seconds == bench.DENSE_SECONDS


def test_a_solver_that_dies_says_so() -> None:
    broken = replace(named("scipy"), solve=partial(int, "no number"))
    with pytest.raises(RuntimeError, match="scipy: the process ended without a result"):
        dense_solvers.solve_in_child(broken, np.zeros((2, 2)), 60)


@pytest.mark.usefixtures("with_solvers")
def test_one_row_for_each_way(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "match", *TOY, "--seeds", "3", "4", "--against"]) == 0
    shown = capsys.readouterr().out
    for seed in (3, 4):
        assert shown.count(f"| match, L = 60, D = 8, planted, seed {seed} ") == 1
    assert shown.count("certified, gap") == 2
    for solver in ("scipy", "lapjv", "lapx", "OR-tools"):
        assert shown.count(f"| {solver}, dense ") == 2
    assert shown.count("60 of 60 pairs as ours") == 8
    assert shown.count("not priced") == 2


def test_trained_saes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=40, k=3), seed=seed).bfloat16(), folder)
    assert main(["bench", "match", "--saes", *map(str, folders)]) == 0
    shown = capsys.readouterr().out
    for side in ("decoder", "encoder"):
        assert shown.count(f"match, L = 40, D = 6, trained, {side}") == 1
    assert "planted" not in shown


def test_the_usual_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SIZES", ((5, 3), (7, 2)))
    pairs = command.BenchMatch(seeds=(0, 1))._pairs()
    assert [tuple(pair.a.shape) for pair in pairs] == [(5, 3), (5, 3), (7, 2), (7, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["match", "--latents", "60"], "--latents, --d-in: expected both or neither"),
        (["encode", *TOY], "there is no option --latents"),
        (["step", "--against"], "there is no option --against"),
        (["match", "--shape", "1", "2", "3", "1"], "there is no option --shape"),
        (["match", "--latents", "0", "--d-in", "4"], "--latents: expected 1 or more, got 0"),
    ],
)
def test_a_users_error_is_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_planted_files_are_gone_afterwards() -> None:
    with planted_files(50, 4, 2) as pair:
        made = planted_pair(50, 4, 2)
        assert torch.equal(pair.a, made.a)
        assert torch.equal(pair.b, made.b)
        folder = Path(pair.a.untyped_storage().filename).parent
        assert folder.exists()
    assert not folder.exists()


def test_what_was_found_of_what_was_planted() -> None:
    made = planted_pair(80, 6)
    matching = match(made.a, made.b)
    singles = made.partner[:38]  # 35 % and 12.5 % of 80
    groups = made.partner[38:47].unique()
    others = sorted(set(range(80)) - {*singles.tolist(), *groups.tolist()})
    perfect = torch.full((80,), -1)
    perfect[:38], perfect[[38, 42, 46]] = singles, made.partner[[38, 42, 46]]
    perfect[perfect < 0] = torch.tensor(others)
    whole = replace(matching, cols=perfect.numpy())
    assert planted_found(made, whole) == "found 28 of 28 shared, 10 of 10 partial, 3 of 3 split"
    perfect[[0, 30, 38]] = perfect[[30, 38, 0]]
    spoilt = replace(matching, cols=perfect.numpy())
    assert planted_found(made, spoilt) == "found 27 of 28 shared, 9 of 10 partial, 2 of 3 split"


def test_what_candidates_alone_get_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    made = planted_pair(300, 8)
    pair = Pair(made.a, made.b, "planted", made)
    monkeypatch.setattr(bench, "CANDIDATES", 6)
    monkeypatch.setattr(bench, "dense_solvers", list)
    wrong, lost = measured(pair)["top 6 of both sides, not priced"].notes
    similarity = (made.a @ made.b.T).numpy().astype(np.float64)
    allowed = np.zeros_like(similarity, dtype=bool)
    np.put_along_axis(allowed, np.argsort(-similarity, 1)[:, :6], True, axis=1)
    np.put_along_axis(allowed, np.argsort(-similarity, 0)[:6], True, axis=0)
    _, best = linear_sum_assignment(similarity, maximize=True)
    _, pruned = linear_sum_assignment(np.where(allowed, similarity, -100), maximize=True)
    assert wrong == f"{(best != pruned).sum()} of 300 pairs differ from ours"
    assert (best != pruned).any()
    rows = np.arange(300)
    expected = similarity[rows, best].sum() - similarity[rows, pruned].sum()
    assert float(lost.split()[0]) == pytest.approx(expected, rel=0.02)


def test_candidates_alone_may_leave_no_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CANDIDATES", 1)
    monkeypatch.setattr(bench, "dense_solvers", list)
    a, b = torch.eye(6, 3) + 1e-3, torch.randn(9, 3)
    found = measured(Pair(a, b, "odd"))
    assert any(
        "there is no full assignment" in note for one in found.values() for note in one.notes
    )


def test_another_objective_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dense_solvers.DenseSolver("bad", "bad", 0, lambda cost: np.arange(len(cost)))
    monkeypatch.setattr(bench, "dense_solvers", lambda: [wrong])
    monkeypatch.setattr(bench, "solve_in_child", solved_here)
    made = planted_pair(60, 8)
    with pytest.raises(WrongResultError, match="the objective of bad is"):
        measured(Pair(made.a, made.b, ""))


@pytest.mark.usefixtures("with_solvers")
def test_solvers_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "available_memory", lambda: 60 * 60 * 9)
    made = planted_pair(60, 8)
    found = measured(Pair(made.a, made.b, ""))
    assert "lapjv, dense" in found
    assert "OR-tools, dense" not in found
    monkeypatch.setattr(bench, "available_memory", lambda: 60 * 60 * 8)
    assert len(measured(Pair(made.a, made.b, ""))) == 2


def test_the_dense_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 20, 5))
    a[3] = 0
    similarity = (
        a @ b.T / np.outer(np.linalg.norm(a, axis=1) + (a[:, 0] == 0), np.linalg.norm(b, axis=1))
    )
    cost = bench._cost((bench.StoredRows(a, "a"), bench.StoredRows(b, "b")))
    np.testing.assert_allclose(cost, similarity.max(axis=1, keepdims=True) - similarity, atol=1e-14)
