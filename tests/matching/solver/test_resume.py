"""A match that is killed goes on from its work folder, to the same result."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from twinsae.matching import match
from twinsae.matching.solver.resume import WorkFolder

# Kills itself after a number of saves, in blocks as small as the parent's.
PROGRAM = """
import os, signal, sys
import numpy as np
from twinsae.matching import match
from twinsae.matching.solver import candidates, on_matrix, resume

folder, last = sys.argv[1], int(sys.argv[2])
on_matrix._FASTER_UP_TO = 0
candidates._LEAST_ROWS, candidates._ROW_BYTES, candidates._COL_BYTES = 40, 1, 1
save, saves = resume.WorkFolder.save, 0

def save_and_die(self, name, tensors):
    global saves
    save(self, name, tensors)
    saves += 1
    if saves == last:
        os.kill(os.getpid(), signal.SIGKILL)

resume.WorkFolder.save = save_and_die
a, b = np.load(folder + "/a.npy"), np.load(folder + "/b.npy")
match(a, b, m=2, work_dir=folder + "/work")
"""
ARRAYS = ("rows", "cols", "cosine", "row_price", "col_price", "row_max", "col_max")


@pytest.fixture(autouse=True)
def small_sparse_blocks(monkeypatch):
    monkeypatch.setattr("twinsae.matching.solver.on_matrix._FASTER_UP_TO", 0)
    monkeypatch.setattr("twinsae.matching.solver.candidates._LEAST_ROWS", 40)
    monkeypatch.setattr("twinsae.matching.solver.candidates._ROW_BYTES", 1)
    monkeypatch.setattr("twinsae.matching.solver.candidates._COL_BYTES", 1)


def same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    return one.upper_bound == other.upper_bound


@pytest.mark.parametrize("saves", [1, 3, 4, 5])
def test_a_killed_match_goes_on_to_the_same_bits(saves, tmp_path, make_pair):
    a, b = make_pair(70, 80, 12)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(saves)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    phases: dict[str, list[int]] = {}

    def progress(phase, done, *_, **__):
        phases.setdefault(phase, []).append(done)

    resumed = match(a, b, m=2, work_dir=tmp_path / "work", progress=progress)
    assert resumed.certified
    assert same(resumed, match(a, b, m=2))
    # Three of the four blocks of candidates are saved, then the graph.
    if saves < 4:
        assert phases["candidates"][0] == saves * 35 * 40
    else:
        assert "candidates" not in phases


def test_a_finished_match_is_made_again_from_its_last_state(tmp_path, make_pair):
    a, b = make_pair(70, 80, 12)
    first = match(a, b, work_dir=tmp_path)
    assert same(match(a, b, work_dir=tmp_path), first)


def test_a_match_that_turns_out_to_need_its_zero_rows_is_resumed_too(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (30, 3)), -rng.uniform(0, 1, (40, 3))
    b[:12] = 0  # too few for all of A, which would rather have nothing
    first = match(a, b, m=3, work_dir=tmp_path)
    assert (tmp_path / "with-zeros").is_dir()
    assert same(match(a, b, m=3, work_dir=tmp_path), first)
    assert same(match(a, b, m=3), first)


@pytest.mark.parametrize("change", ["a", "m"])
def test_the_work_of_another_match_is_refused(change, tmp_path, make_pair):
    a, b = make_pair(70, 80, 12)
    match(a, b, work_dir=tmp_path, m=2)
    other, m = (-a, 2) if change == "a" else (a, 3)
    with pytest.raises(ValueError, match=r"state\.safetensors is of another match: delete it"):
        match(other, b, work_dir=tmp_path, m=m)


def test_a_corrupt_state_is_refused(tmp_path, make_pair):
    a, b = make_pair(70, 80, 12)
    match(a, b, work_dir=tmp_path)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"state\.safetensors is truncated"):
        match(a, b, work_dir=tmp_path)


def test_without_a_folder_nothing_is_kept():
    folder = WorkFolder(None, {})
    folder.save("state", {"x": torch.ones(1)})
    assert folder.load("state") is None
