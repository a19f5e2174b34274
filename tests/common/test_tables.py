"""Tables and the JSON beside them."""

from pathlib import Path

import numpy as np
import pytest
from twinsae.common.tables import load_table, save_table

COLUMNS = {
    "latent": np.arange(5),
    "share": np.array([0.5, np.nan, 0, 1, 2]),
    "live": np.ones(5) > 0,
}


def test_a_table_comes_back_with_its_facts(tmp_path: Path):
    file = tmp_path / "new" / "t.npz"
    save_table(file, "toy/1", COLUMNS, {"tokens": 3})
    table = load_table(file, "toy/1")
    assert list(table.columns) == list(COLUMNS)
    for name, column in COLUMNS.items():
        assert table.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(table.columns[name], column)
    assert table.facts["tokens"] == 3
    assert table.facts["rows"] == 5
    before = file.read_bytes()
    save_table(file, "toy/1", COLUMNS, {"tokens": 3})
    assert file.read_bytes() == before
    save_table(tmp_path / "e.npz", "toy/1", {"latent": np.arange(0)}, {})
    assert len(load_table(tmp_path / "e.npz", "toy/1").columns["latent"]) == 0


def test_what_does_not_belong_together_is_refused(tmp_path: Path):
    file = tmp_path / "t.npz"
    with pytest.raises(ValueError, match=r"^columns: expected one length, got \{'a': 2, 'b': 3\}"):
        save_table(file, "toy/1", {"a": np.ones(2), "b": np.ones(3)}, {})
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"t\.npz does not exist"):
        load_table(file, "toy/1")
    save_table(file, "toy/1", COLUMNS, {})
    with pytest.raises(ValueError, match=r"t\.json: expected format 'toy/2', got 'toy/1'"):
        load_table(file, "toy/2")
    np.savez(file, latent=np.arange(5))
    with pytest.raises(ValueError, match=r"t\.npz is not the table that .*t\.json describes"):
        load_table(file, "toy/1")
    (tmp_path / "t.json").write_text("{")
    with pytest.raises(ValueError, match=r"t\.json is not JSON"):
        load_table(file, "toy/1")
    (tmp_path / "t.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"t\.json does not exist"):
        load_table(file, "toy/1")


def test_a_failed_write_leaves_no_description_of_another_table(tmp_path: Path, monkeypatch):
    file = tmp_path / "t.npz"
    save_table(file, "toy/1", COLUMNS, {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="cannot write"):
        save_table(file, "toy/1", {"latent": np.arange(2)}, {})
    monkeypatch.undo()
    assert not (tmp_path / "t.json").exists()


def test_a_table_written_again_keeps_its_description_all_the_time(tmp_path: Path, monkeypatch):
    file, described = tmp_path / "t.npz", tmp_path / "t.json"
    save_table(file, "toy/1", COLUMNS, {"of": "a"})
    replace, there = Path.replace, []

    def look(self: Path, target: Path) -> Path:
        there.append(described.exists())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    save_table(file, "toy/1", COLUMNS, {"of": "a"})
    assert there == [True, True]
    save_table(file, "toy/1", COLUMNS, {"of": "b"})
    assert there == [True, True, False, False]
    assert load_table(file, "toy/1").facts["of"] == "b"
