"""What the report reads of a training run."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching.report.training_log import read_run, read_run_of
from twinsae.sae.training.log import find_run


def test_run_is_found_around_the_input(tmp_path, write_log):
    write_log(tmp_path / "run")
    inside = tmp_path / "run" / "layers.15.mlp" / "topk" / "seed0"
    assert find_run(inside / "sae.safetensors") == tmp_path / "run"
    assert find_run(inside) == tmp_path / "run"
    assert find_run(tmp_path / "run") == tmp_path / "run"
    assert find_run(inside / "too" / "deep") is None
    assert find_run(tmp_path) is None


def test_log_by_sae_in_order(tmp_path, write_log):
    lines = write_log(tmp_path, seeds=(10, 9), steps=5)
    (log,) = read_run(tmp_path)
    assert log.hookpoint == "layers.15.mlp"
    assert [sae.name for sae in log.saes] == ["layers.15.mlp/seed9", "layers.15.mlp/seed10"]
    assert [sae.seed for sae in log.saes] == [9, 10]
    expected = [line["fvu"] for line in lines if line["seed"] == 10]
    np.testing.assert_array_equal(log.saes[1].values["fvu"], expected)
    np.testing.assert_array_equal(log.saes[1].tokens, np.arange(5) * 2048)
    assert list(log.saes[1].values) == ["fvu", "l0", "dead", "lr"]


def test_what_a_step_lacks_is_no_number(tmp_path, write_log):
    lines = write_log(tmp_path, seeds=(0,), steps=3)
    lines[1]["auxk_loss"] = 0.25
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (log,) = read_run(tmp_path)
    np.testing.assert_array_equal(log.saes[0].values["auxk_loss"], [np.nan, 0.25, np.nan])


def test_log_of_several_hookpoints_shows_the_inputs_own(tmp_path, write_log):
    write_log(tmp_path, hookpoints=("layers.1", "layers.2"))
    assert [log.hookpoint for log in read_run(tmp_path)] == ["layers.1", "layers.2"]
    assert read_run_of(tmp_path, tmp_path / "layers.2" / "seed0").hookpoint == "layers.2"
    assert read_run_of(tmp_path, Path("elsewhere/sae.npz")) is None


def test_empty_log(tmp_path):
    (tmp_path / "log.jsonl").write_text("")
    assert read_run_of(tmp_path, Path("a")) is None


@pytest.mark.parametrize("old", [True, False])
def test_model_is_read_where_the_run_has_its_activations(tmp_path, write_log, old):
    write_log(tmp_path)
    (log,) = read_run(tmp_path)
    assert log.model is None
    meta = tmp_path / "activations" / ("." if old else log.hookpoint) / "meta.json"
    meta.parent.mkdir(parents=True)
    for text, model in (("[]", None), ("{}", None), ('{"model": "smollm2-135m"}', "smollm2-135m")):
        meta.write_text(text)
        assert read_run(tmp_path)[0].model == model
    meta.write_text("{")
    with pytest.raises(ValueError, match=r"meta\.json is not valid JSON"):
        read_run(tmp_path)


def test_an_sae_is_found_by_its_place_or_else_by_its_seed(tmp_path, write_log):
    write_log(tmp_path, seeds=(1, 10, 3), steps=1)
    write_kinds(tmp_path / "kinds")
    (log,) = read_run(tmp_path)
    (kinds,) = read_run(tmp_path / "kinds")
    assert log.find("/a/run/layers.15.mlp/seed1").seed == 1
    assert log.find("/a/run/layers.15.mlp/seed10/sae.safetensors").seed == 10
    assert log.find("copy/seed3/sae.npz").seed == 3
    assert log.find("copy/seed4/sae.npz") is None
    assert log.find("seeds/sae.npz") is None
    assert log.find("seed3/x/seed1").seed == 1
    assert kinds.find("run/h/relu/seed0").name == "h/relu/seed0"
    assert kinds.find("copy/seed0") is None  # which kind is not told


def write_kinds(run):
    run.mkdir()
    facts = {"step": 1, "tokens": 9, "hookpoint": "h", "seed": 0, "fvu": 0.5, "l0": 3, "dead": 0}
    lines = [facts | {"sae": f"h/{kind}/seed0"} for kind in ("topk", "relu")]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
