"""The frozen result and its file."""

import dataclasses
import resource
import signal

import numpy as np
import pytest
from twinsae.matching import Matching, match


@pytest.fixture
def matching(make_pair):
    return match(*make_pair(12, 9, 6))


def test_arrays_have_their_types_and_cannot_be_changed(matching):
    for field in dataclasses.fields(matching)[:7]:
        values = getattr(matching, field.name)
        assert values.dtype == (np.int64 if field.name in ("rows", "cols") else np.float64)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        matching.objective = 0.0


def test_the_callers_array_is_neither_frozen_nor_shared(matching):
    cosine = matching.cosine.copy()
    copy = dataclasses.replace(matching, cosine=cosine)
    cosine[0] = 5
    assert copy.cosine[0] == matching.cosine[0]


def test_a_gap_beyond_rounding_is_not_certified(matching):
    pairs = len(matching.rows)
    for gap, certified in ((0.9e-9 * pairs, True), (1.1e-9 * pairs, False), (-1.0, False)):
        changed = dataclasses.replace(matching, upper_bound=matching.objective + gap)
        assert changed.gap == pytest.approx(gap, abs=1e-14)
        assert changed.certified is certified
    assert not dataclasses.replace(matching, upper_bound=np.nan).certified


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows": [0.0, 1.0]}, r"^rows must be a 1-D array of integers, not float64"),
        ({"cosine": [1, 2]}, r"^cosine must be a 1-D array of floats, not int64"),
        ({"row_price": np.zeros((2, 2))}, r"^row_price must be 1-D|of shape \(2, 2\)$"),
        ({"cols": np.arange(3)}, r"^rows, cols and cosine must have one length, not 9, 3 and 9$"),
    ],
)
def test_arrays_that_cannot_be_a_matching_are_refused(changed, message, matching):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(matching, **changed)


def test_swapping_twice_changes_nothing(matching):
    once, twice = matching.swapped(), matching.swapped().swapped()
    np.testing.assert_array_equal(once.rows, np.sort(matching.cols))
    for field in dataclasses.fields(matching):
        np.testing.assert_equal(getattr(twice, field.name), getattr(matching, field.name))
    pairs = dict(zip(matching.rows, matching.cols, strict=True))
    assert dict(zip(once.cols, once.rows, strict=True)) == pairs


def test_the_file_has_the_names_and_types_that_others_rely_on(matching, tmp_path):
    path = tmp_path / "decoder.npz"
    matching.save(path)
    with np.load(path) as stored:
        assert {name: stored[name].dtype.name for name in stored.files} == {
            "rows": "int64",
            "cols": "int64",
            "cosine": "float32",
            "row_price": "float64",
            "col_price": "float64",
            "row_max": "float32",
            "col_max": "float32",
            "objective": "float64",
            "upper_bound": "float64",
            "absolute": "bool",
        }
        np.testing.assert_array_equal(stored["rows"], matching.rows)
        np.testing.assert_array_equal(stored["cosine"], matching.cosine.astype(np.float32))
    assert [file.name for file in tmp_path.iterdir()] == ["decoder.npz"]


def test_a_file_from_before_there_were_absolute_matchings_has_signs(matching, tmp_path):
    matching.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as stored:
        old = {name: stored[name] for name in stored.files if name != "absolute"}
    np.savez(tmp_path / "old.npz", **old)
    assert Matching.load(tmp_path / "old.npz").absolute is False


def test_what_is_saved_is_loaded(matching, tmp_path):
    path = tmp_path / "decoder.npz"
    matching.save(path)
    loaded = Matching.load(path)
    for name in ("rows", "cols", "row_price", "col_price"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(matching, name))
    for name in ("cosine", "row_max", "col_max"):
        rounded = getattr(matching, name).astype(np.float32)
        np.testing.assert_array_equal(getattr(loaded, name), rounded)
    assert loaded.objective == matching.objective
    assert loaded.upper_bound == matching.upper_bound
    assert loaded.certified
    assert loaded.stats == {}


@pytest.mark.parametrize("size", [0, 1, 50, -1])
def test_a_file_cut_short_is_refused_with_its_name(size, matching, tmp_path):
    path = tmp_path / "decoder.npz"
    matching.save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"decoder\.npz is no matching: "):
        Matching.load(path)


def test_a_file_of_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", rows=np.arange(3))
    with pytest.raises(ValueError, match=r"other\.npz is no matching: .*cols"):
        Matching.load(tmp_path / "other.npz")
    np.save(tmp_path / "one.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"one\.npy is no matching"):
        Matching.load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        Matching.load(tmp_path / "absent.npz")


def test_a_full_disk_leaves_the_old_file(matching, tmp_path):
    path = tmp_path / "decoder.npz"
    matching.save(path)
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        with pytest.raises(OSError, match="cannot write"):
            dataclasses.replace(matching, objective=0.0).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["decoder.npz"]
