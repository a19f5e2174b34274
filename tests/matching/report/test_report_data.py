"""Reading match folders and training logs, and what is said when they are damaged."""

import json

import numpy as np
import pytest
from twinsae.matching.report.data import read_match


def edit_summary(folder, change):
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))


def test_matches_are_laid_out_by_latents_of_a(tmp_path, write_match):
    write_match(tmp_path, num_a=3, num_b=2)
    np.savez(
        tmp_path / "decoder.npz",
        rows=np.array([0, 2]),
        cols=np.array([1, 0]),
        cosine=np.array([0.25, 0.75], dtype=np.float32),
    )

    decoder = read_match(tmp_path).sides["decoder"]

    np.testing.assert_array_equal(decoder.cosine, [0.25, np.nan, 0.75])
    np.testing.assert_array_equal(decoder.partner, [1, -1, 0])


def test_numbers_of_the_summary_are_kept(tmp_path, write_match):
    summary = write_match(tmp_path, num_a=40, num_b=50, d_in=16)
    match = read_match(tmp_path)
    assert match.summary == summary
    assert match.num_latents == 40
    assert match.threshold == 0.7
    assert match.sides["encoder"].chance_floor == summary["sides"]["encoder"]["chance_floor"]


def test_missing_summary(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no summary\.json in .*expected a folder of"):
        read_match(tmp_path)


def test_summary_cut_short(tmp_path, write_match):
    write_match(tmp_path)
    text = (tmp_path / "summary.json").read_text()
    (tmp_path / "summary.json").write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"summary\.json is not valid JSON"):
        read_match(tmp_path)


@pytest.mark.parametrize("found", ["twinsae-match/2", None, 1])
def test_other_format(tmp_path, write_match, found):
    write_match(tmp_path)
    edit_summary(tmp_path, lambda summary: summary.update(format=found))
    with pytest.raises(ValueError, match=r"expected format 'twinsae-match/1', got"):
        read_match(tmp_path)


def test_summary_that_is_no_object(tmp_path):
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(ValueError, match="expected format"):
        read_match(tmp_path)


@pytest.mark.parametrize("key", ["versions", "inputs", "settings", "sides", "overlap"])
def test_summary_without_a_block(tmp_path, write_match, key):
    write_match(tmp_path)
    edit_summary(tmp_path, lambda summary: summary.pop(key))
    with pytest.raises(ValueError, match=f"has no '{key}'"):
        read_match(tmp_path)


def test_summary_without_sides(tmp_path, write_match):
    write_match(tmp_path)
    edit_summary(tmp_path, lambda summary: summary.update(sides={}))
    with pytest.raises(ValueError, match="names no side"):
        read_match(tmp_path)


def test_missing_matching(tmp_path, write_match):
    write_match(tmp_path)
    (tmp_path / "encoder.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no encoder\.npz in"):
        read_match(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_matching_cut_short(tmp_path, write_match, kept):
    write_match(tmp_path)
    path = tmp_path / "decoder.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"decoder\.npz cannot be read"):
        read_match(tmp_path)


def test_matching_without_cosines(tmp_path, write_match):
    write_match(tmp_path)
    np.savez(tmp_path / "decoder.npz", rows=np.arange(300), cols=np.arange(300))
    with pytest.raises(ValueError, match=r"decoder\.npz cannot be read: .*cosine"):
        read_match(tmp_path)


def test_matching_with_pickles_is_not_unpickled(tmp_path, write_match):
    write_match(tmp_path)
    rows = np.array([print] * 300, dtype=object)
    np.savez(tmp_path / "decoder.npz", rows=rows, cols=np.arange(300), cosine=np.ones(300))
    with pytest.raises(ValueError, match=r"decoder\.npz cannot be read"):
        read_match(tmp_path)


def test_matching_of_another_size(tmp_path, write_match):
    write_match(tmp_path / "a", num_a=10, num_b=8)
    write_match(tmp_path / "b", num_a=10, num_b=9)
    (tmp_path / "a" / "decoder.npz").replace(tmp_path / "b" / "decoder.npz")
    with pytest.raises(ValueError, match=r"expected rows, cols and cosine of shape \(9,\), got"):
        read_match(tmp_path / "b")


@pytest.mark.parametrize("rows", [[0, 3], [-1, 0]])
def test_matching_with_rows_out_of_range(tmp_path, write_match, rows):
    write_match(tmp_path, num_a=3, num_b=2)
    np.savez(tmp_path / "decoder.npz", rows=np.array(rows), cols=np.arange(2), cosine=np.zeros(2))
    with pytest.raises(ValueError, match="expected rows below 3 and cols below 2"):
        read_match(tmp_path)
