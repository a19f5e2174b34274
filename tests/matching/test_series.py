"""`series`: folders of matches in, a table out; and the command above it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from twinsae.cli.main import main
from twinsae.matching import Given, match_all, match_files, series
from twinsae.sae import SAE, SAEConfig, TrainConfig, save_sae, train
from twinsae.sae.activations import open_activations

D = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training runs, of 12 and of 20 latents, and the matches of their seeds."""
    root = tmp_path_factory.mktemp("series")
    rows = np.random.default_rng(0).normal(size=(200, D)).astype(np.float32)
    np.save(root / "a.npy", rows)
    for name, size, hookpoint in (("small", 12, "layers.2.mlp"), ("large", 20, "layers.3")):
        run = root / name
        shape, settings = SAEConfig(D, size, k=3), TrainConfig(batch_size=50, epochs=2)
        train(open_activations(root / "a.npy"), run, hookpoint, shape, settings)
        meta = run / "activations" / hookpoint / "meta.json"
        meta.parent.mkdir(parents=True)
        meta.write_text(json.dumps({"model": "toy-model"}))
        folders = [run / hookpoint / f"seed{seed}" for seed in (0, 1)]
        match_all(folders, root / name / "matches")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "r")
    for path in (tmp_path / "r").rglob("summary.json"):
        path.write_text(path.read_text().replace(str(made), str(tmp_path / "r")))
    return tmp_path / "r"


def test_factors_come_from_files_and_logs(root):
    result = series([root / "small", root / "large/matches"], out=root / "out")
    small, large = result["rows"]
    assert small["match"] == str(root / "small/matches/seed0--seed1")
    told = ("model", "hookpoint", "layer", "position", "architecture", "num_latents", "k", "d_in")
    assert [small[name] for name in told] == [
        "toy-model", "layers.2.mlp", 2, "mlp", "topk", 12, 3, D,
    ]  # fmt: skip
    assert [large[name] for name in told] == [
        "toy-model", "layers.3", 3, "residual", "topk", 20, 3, D,
    ]  # fmt: skip
    assert small["tokens"] == large["tokens"] == 400  # 2 epochs of 200
    summary = json.loads((Path(small["match"]) / "summary.json").read_text())
    for name, share in summary["overlap"]["criteria"].items():
        assert small[name] == share
        assert small[f"live_{name}"] == summary["overlap"]["live"]["criteria"][name]
    assert small["decoder_cosine"] == summary["sides"]["decoder"]["mean_cosine"]
    assert result["sources"][0]["tokens"] == "log.jsonl"
    assert result["sources"][0]["k"] == "the SAE's files"
    assert json.loads((root / "out/series.json").read_text()) == result
    with (root / "out/series.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["num_latents"], second["num_latents"]) == ("12", "20")
    assert float(second["and"]) == large["and"]
    assert list(first) == list(small)


def test_what_is_not_known_is_none_and_can_be_given(root):
    (root / "small/log.jsonl").unlink()
    save_sae(SAE(SAEConfig(D, 12, k=5), seed=9), root / "small/layers.2.mlp/seed1")  # others now
    (row,) = series([root / "small"])["rows"]
    assert row["tokens"] is row["model"] is row["k"] is row["architecture"] is None
    assert (row["hookpoint"], row["layer"], row["num_latents"]) == ("layers.2.mlp", 2, 12)
    given = [
        Given("tokens", 7),
        Given("tokens", 8, root / "small"),
        Given("k", 9, root / "large"),
        Given("layer", 5),
        Given("data", "pile", root / "large"),
    ]
    result = series([root / "small", root / "large"], factors=given, by=["tokens"])
    small, large = result["rows"]
    assert (small["tokens"], small["k"], small["layer"], small["data"]) == (8, None, 5, None)
    assert (large["tokens"], large["k"], large["layer"], large["data"]) == (7, 9, 5, "pile")
    assert list(small) == list(large)
    assert result["sources"][0]["tokens"] == "given"
    assert [(group["tokens"], group["matches"]) for group in result["groups"]] == [(7, 1), (8, 1)]


def test_an_sae_that_is_not_in_the_log_has_none_of_its_facts(root):
    """One of the same seed in the run's folder, such as an untrained one."""
    run = root / "small"
    other = [run / f"untrained/layers.2.mlp/seed{seed}" for seed in (0, 1)]
    for seed, folder in enumerate(other):
        save_sae(SAE(SAEConfig(D, 12, k=3), seed=seed), folder)
    match_files(*other, ["decoder"], root / "untrained")
    (row,) = series([root / "untrained"])["rows"]
    assert row["tokens"] is row["model"] is None
    assert (row["hookpoint"], row["k"]) == ("layers.2.mlp", 3)


def test_saes_that_differ_have_both_values(root):
    a, b = (root / "small/layers.2.mlp/seed0", root / "large/layers.3/seed0")
    match_files(a, b, ["decoder"], root / "cross")
    (row,) = series([root / "cross"])["rows"]
    assert (row["num_latents"], row["layer"], row["k"]) == ("12|20", "2|3", 3)
    assert row["and"] is None
    assert row["decoder"] is not None


def test_a_match_counts_once_and_wrong_folders_are_refused(root):
    assert len(series([root, root / "small/matches"])["rows"]) == 2
    (root / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no summary\.json at or below .*empty"):
        series([root / "empty"])
    with pytest.raises(ValueError, match=r"^factors: .*other is none of the folders given$"):
        series([root], factors=[Given("k", 1, root / "other")])
    with pytest.raises(ValueError, match=r"^factors: 'and' is a column of every series$"):
        series([root], factors=[Given("and", 1)])
    path = root / "small/matches/seed0--seed1/summary.json"
    path.write_text('{"format": "other/1"}')
    with pytest.raises(ValueError, match=r"expected format 'twinsae-match/1', got 'other/1'"):
        series([root])
    path.write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is not JSON"):
        series([root])


def test_the_command(root, capsys):
    small, large = root / "small/matches", root / "large/matches"
    words = ["series", str(small), str(large), "--factor", f"stage=1e3@{small}", "data=pile"]
    assert main([*words, "--out", str(root / "out"), "--by", "num_latents"]) == 0
    shown = capsys.readouterr().out
    result = json.loads((root / "out/series.json").read_text())
    assert [row["stage"] for row in result["rows"]] == [1000, None]
    assert [row["data"] for row in result["rows"]] == ["pile", "pile"]
    assert "means by num_latents" in shown
    for row in result["rows"]:
        assert f"{row['decoder']:.1%}" in shown
        assert f"{row['encoder']:.1%}" in shown
    assert "within a row these vary" not in shown
    assert main(words) == 0
    shown = capsys.readouterr().out
    for factor in (
        "small/matches/seed0--seed1",
        "hookpoint=layers.2.mlp",
        "num_latents=20",
        "stage=1,000",
        "stage=?",
    ):
        assert factor in shown
    assert "data=" not in shown  # it does not vary
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["series", str(root), "--by", "data"]) == 2
    assert capsys.readouterr().err.startswith("error: by: there is no factor 'data'; there are mo")
    assert main(["series", str(root), "--factor", "data"]) == 2
    assert "--factor: expected NAME=VALUE or NAME=VALUE@DIR, got 'data'" in capsys.readouterr().err
    assert main(["series", str(root), "--by", "model"]) == 0
    assert "within a row these vary, too: hookpoint, layer" in capsys.readouterr().out
