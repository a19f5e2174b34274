"""Reading match folders and training logs, and what is said when they are damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching.report.data import find_run, read_log, read_match, seed_of


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


def test_run_is_found_around_the_input(tmp_path, write_log):
    write_log(tmp_path / "run")
    inside = tmp_path / "run" / "layers.15.mlp" / "seed0"
    assert find_run(inside / "sae.safetensors") == tmp_path / "run"
    assert find_run(inside) == tmp_path / "run"
    assert find_run(tmp_path / "run") == tmp_path / "run"
    assert find_run(inside / "too" / "deep") is None
    assert find_run(tmp_path) is None


def test_log_by_seed_in_order(tmp_path, write_log):
    lines = write_log(tmp_path, seeds=(10, 9), steps=5)
    log = read_log(tmp_path, Path("anything"))
    assert log.hookpoint == "layers.15.mlp"
    assert [entry.seed for entry in log.seeds] == [9, 10]
    expected = [line["fvu"] for line in lines if line["seed"] == 10]
    np.testing.assert_array_equal(log.seeds[1].fvu, expected)
    np.testing.assert_array_equal(log.seeds[1].tokens, np.arange(5) * 2048)


def test_log_of_several_hookpoints_shows_the_inputs_own(tmp_path, write_log):
    write_log(tmp_path, hookpoints=("layers.1", "layers.2"))
    assert read_log(tmp_path, tmp_path / "layers.2" / "seed0").hookpoint == "layers.2"
    assert read_log(tmp_path, Path("elsewhere/sae.npz")) is None


def test_log_of_a_resumed_run_counts_the_later_line(tmp_path, write_log):
    lines = write_log(tmp_path, seeds=(0,), steps=4)
    again = dict(lines[2], fvu=0.125)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps(again) + "\n")
    (entry,) = read_log(tmp_path, Path("a")).seeds
    assert entry.fvu[2] == 0.125
    assert entry.fvu.size == 4


def test_log_with_its_last_line_cut_short(tmp_path, write_log):
    write_log(tmp_path, seeds=(0,), steps=4)
    text = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text(text[:-20])
    assert read_log(tmp_path, Path("a")).seeds[0].fvu.size == 3


def test_empty_log(tmp_path):
    (tmp_path / "log.jsonl").write_text("")
    assert read_log(tmp_path, Path("a")) is None


def test_damaged_line_inside_the_log(tmp_path, write_log):
    write_log(tmp_path)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    lines[6] = lines[6][:9]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"log\.jsonl, line 7: not valid JSON"):
        read_log(tmp_path, Path("a"))


@pytest.mark.parametrize("old", [True, False])
def test_model_is_read_where_the_run_has_its_activations(tmp_path, write_log, old):
    write_log(tmp_path)
    assert read_log(tmp_path, Path("a")).model is None
    hookpoint = read_log(tmp_path, Path("a")).hookpoint
    meta = tmp_path / "activations" / ("." if old else hookpoint) / "meta.json"
    meta.parent.mkdir(parents=True)
    for text, model in (("[]", None), ("{}", None), ('{"model": "smollm2-135m"}', "smollm2-135m")):
        meta.write_text(text)
        assert read_log(tmp_path, Path("a")).model == model
    meta.write_text("{")
    with pytest.raises(ValueError, match=r"meta\.json is not valid JSON"):
        read_log(tmp_path, Path("a"))


@pytest.mark.parametrize("line", ["[]", "3", '{"step": 1}', '{"step": "1"}'])
def test_log_of_something_else(tmp_path, line):
    (tmp_path / "log.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1: not a line of a training log"):
        read_log(tmp_path, Path("a"))


def test_missing_log(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no log\.jsonl in"):
        read_log(tmp_path, Path("a"))


@pytest.mark.parametrize(
    ("path", "seed"),
    [("run/x/seed12", 12), ("seed3/sae.safetensors", 3), ("seed1/x/seed2", 2), ("seeds", None)],
)
def test_seed_of_a_path(path, seed):
    assert seed_of(path) == seed
