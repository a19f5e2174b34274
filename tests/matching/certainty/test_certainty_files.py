"""The certainty of a match on disk, from its folder to its tables and the printed shares."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import Matching, match_files
from twinsae.matching.certainty import certainty, files


@pytest.fixture
def folder(tmp_path: Path, make_pair) -> Path:
    """A match of two decoders, of 25 and 30 latents."""
    for name, rows in zip("ab", make_pair(25, 30, 8), strict=True):
        np.save(tmp_path / f"{name}.npy", rows)
    match_files(tmp_path / "a.npy", tmp_path / "b.npy", ["decoder"], tmp_path / "match")
    return tmp_path / "match"


def test_the_table_holds_the_bounds_and_says_whose(folder: Path, capsys):
    assert main(["certainty", str(folder)]) == 0
    matching = Matching.load(folder / "decoder.npz")
    a, b = (np.load(folder.parent / f"{name}.npy") for name in "ab")
    expected = certainty(a, b, matching)
    columns, facts = load_table(folder / "decoder-certainty.npz", files.FORMAT)
    assert list(columns) == ["latent_a", "latent_b", "cosine", "lower", "upper", "exact"]
    np.testing.assert_array_equal(columns["latent_a"], matching.rows)
    np.testing.assert_array_equal(columns["latent_b"], matching.cols)
    np.testing.assert_array_equal(columns["cosine"], matching.cosine)
    np.testing.assert_array_equal(columns["lower"], expected.lower)
    np.testing.assert_array_equal(columns["upper"], expected.upper)
    np.testing.assert_array_equal(columns["exact"], expected.exact)
    summary = json.loads((folder / "summary.json").read_text())
    for name in "ab":
        assert facts["inputs"][name]["sha256"] == summary["inputs"][name]["sha256"]
    shares = expected.summary()
    assert {name: facts[name] for name in shares} == shares
    match_files(folder.parent / "b.npy", folder.parent / "a.npy", ["decoder"], folder)
    assert {file.name for file in folder.iterdir()} == {"decoder.npz", "summary.json"}
    shown = capsys.readouterr().out
    assert f"{shares['needed']:.1%}" in shown


def test_what_has_changed_since_the_match_is_refused(folder: Path, capsys):
    np.save(folder.parent / "a.npy", np.ones((25, 8), np.float32))
    assert main(["certainty", str(folder)]) == 2
    assert "a.npy has changed since it was matched as a" in capsys.readouterr().err
    (folder.parent / "b.npy").unlink()
    np.save(folder.parent / "a.npy", np.ones((25, 8), np.float32))
    assert main(["certainty", str(folder)]) == 2
    (folder / "summary.json").write_text('{"format": "other/1"}')
    assert main(["certainty", str(folder)]) == 2
    assert "expected format 'twinsae-match/1', got 'other/1'" in capsys.readouterr().err
    (folder / "summary.json").unlink()
    assert main(["certainty", str(folder)]) == 2
    assert "no summary.json" in capsys.readouterr().err
