"""What is said of a path that is no SAE, and what SAEs are called."""

from pathlib import Path

import pytest
from twinsae.sae.formats.layouts import WEIGHT_FILES
from twinsae.sae.formats.paths import find_saes, no_sae, sae_name, weight_file


def make(*saes: Path) -> None:
    for sae, file in zip(saes, [*WEIGHT_FILES] * len(saes), strict=False):
        sae.mkdir(parents=True)
        (sae / file).parent.mkdir(exist_ok=True)
        (sae / file).touch()


def test_saes_below_and_beside_are_named(tmp_path):
    make(tmp_path / "h.1" / "seed0", tmp_path / "h.1" / "seed1", tmp_path / "h.2" / "seed0")
    assert str(no_sae(tmp_path)).endswith("; SAEs below it: h.1/seed0, h.1/seed1, h.2/seed0")
    missing = tmp_path / "h.1" / "seed2"
    assert str(no_sae(missing)) == f"{missing} does not exist; SAEs beside it: seed0, seed1"
    assert str(no_sae(tmp_path / "no")) == f"{tmp_path / 'no'} does not exist"
    assert str(no_sae(tmp_path / "no" / "no")) == f"{tmp_path / 'no' / 'no'} does not exist"


def test_of_many_saes_ten_are_named(tmp_path):
    make(*(tmp_path / f"seed{n:02}" for n in range(13)))
    message = str(no_sae(tmp_path))
    assert "seed09, 3 more" in message
    assert "seed10" not in message
    assert len(find_saes(tmp_path)) == 13


@pytest.mark.parametrize("file", WEIGHT_FILES)
def test_a_folder_is_an_sae_by_one_file(tmp_path, file):
    with pytest.raises(FileNotFoundError, match="is no SAE folder"):
        weight_file(tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert weight_file(tmp_path) == tmp_path / file
    (tmp_path / "a.bin").touch()
    with pytest.raises(ValueError, match=r"a\.bin: expected an SAE folder or a file ending"):
        weight_file(tmp_path / "a.bin")


def test_names(tmp_path, monkeypatch):
    make(tmp_path / "seed0")
    (tmp_path / "link").symlink_to(tmp_path / "seed0")
    assert sae_name(tmp_path / "link") == "link"
    assert sae_name(tmp_path / "a.v2.npz") == "a.v2"
    monkeypatch.chdir(tmp_path / "seed0")
    assert sae_name(Path()) == "seed0"
    assert sae_name(Path("../seed0/.")) == "seed0"
    assert sae_name(Path("..")) == tmp_path.name
