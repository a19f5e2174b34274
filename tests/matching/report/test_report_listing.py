"""A folder with matches below it is a list of them, each with the way to its report."""

import pytest
from twinsae.matching.report import render


def plain(text):
    return " ".join(text.split())


def test_matches_are_listed_with_their_reports(tmp_path, write_match, parse):
    share = write_match(tmp_path / "runs/a", num_a=30, num_b=30)["overlap"]["criteria"]["and"]
    write_match(tmp_path / "runs/deep/b", sides=("encoder",), num_a=30, num_b=30)
    page = tmp_path / "runs/a/report/index.html"
    page.parent.mkdir()
    page.touch()
    found = parse(render(tmp_path / "runs"))
    assert found.text["h1"] == "2 matches in runs"
    saes, pairs, shared, optimal = found.rows["a"]
    assert (plain(saes["text"]), pairs["values"]) == ("seed0, seed1", [1])
    assert shared["values"] == [share]
    assert plain(optimal["text"]) == "proved"
    assert ("../a/report/index.html", "a") in found.links()
    row = found.rows["deep/b twinsae report deep/b"]
    assert plain(row[2]["text"]).endswith("encoder")


def test_a_folder_of_anything_else_is_refused(tmp_path, write_log):
    expected = r"no summary\.json, seeds\.json or log\.jsonl in .*, and no match below it: expected"
    with pytest.raises(FileNotFoundError, match=expected):
        render(tmp_path)
    write_log(tmp_path / "run", steps=2)
    with pytest.raises(ValueError, match="baseline: only for the report of a match"):
        render(tmp_path / "run", baseline=tmp_path)
