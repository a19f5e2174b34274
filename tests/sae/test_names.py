"""Names of several SAEs, told by their paths."""

import pytest
from twinsae.sae.names import differing_ends, distinct_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/seed0", "runs/a/seed1"], ["seed0", "seed1"]),
        (["hub/k32-seed1/layers.6.mlp", "hub/k32-seed2/layers.6.mlp"], ["k32-seed1", "k32-seed2"]),
        (["gs/l0_1/params.npz", "gs/l0_2/params.npz"], ["l0_1", "l0_2"]),
        (["a/seed0", "a/seed1", "b/seed0"], ["a-seed0", "a-seed1", "b-seed0"]),
        (["a/x/s/t", "b/x/s/t", "b/y/s/t"], ["a-x", "b-x", "b-y"]),
        (["a/5.pt", "a/6.pt"], ["5", "6"]),
        (["a/5.pt", "a/5.npz"], ["5.pt", "5.npz"]),
        (["only/one/sae"], ["sae"]),
        (["seed0", "elsewhere/seed0"], ["", "elsewhere"]),
    ],
)
def test_names_are_the_shortest_that_differ(paths, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in paths:
        if "." not in path.rpartition("/")[2] or "layers" in path:
            (tmp_path / path).mkdir(parents=True)
    found = distinct_names(paths)
    if "" in names:  # the parent's own name, which is the test's
        names = [name or tmp_path.name for name in names]
    assert found == names


def test_a_link_keeps_its_name(tmp_path):
    for seed in (1, 2):
        (tmp_path / f"seed{seed}" / "layers.6.mlp").mkdir(parents=True)
        (tmp_path / f"s{seed}").symlink_to(tmp_path / f"seed{seed}" / "layers.6.mlp")
    assert distinct_names([tmp_path / "s1", tmp_path / "s2"]) == ["s1", "s2"]


def test_a_path_twice(tmp_path):
    with pytest.raises(ValueError, match="x is given twice: expected different SAEs"):
        distinct_names([tmp_path / "x", tmp_path / "y", tmp_path / "y" / ".." / "x"])


def test_ends_of_unequal_length():
    assert differing_ends([("a", "x"), ("x",)], 1) == [("a", "x"), ("", "x")]
    assert differing_ends([("a", "b", "c"), ("a", "b", "d")], 2) == [("b", "c"), ("b", "d")]
    assert differing_ends([("a", "b"), ("a", "b")], 1) == [("b",), ("b",)]
