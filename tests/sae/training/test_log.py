import json

import pytest
from twinsae.sae.training.log import LogWriter, read_log


def line(step, seed, hookpoint="h"):
    return {
        "step": step,
        "tokens": 10 * step,
        "sae": f"{hookpoint}/seed{seed}",
        "hookpoint": hookpoint,
        "seed": seed,
        "fvu": 1 / step,
        "l0": 3.5,
        "dead": 0,
    }


@pytest.fixture
def log(tmp_path):
    log = LogWriter(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        log.append([line(step, 0), line(step, 1), line(step, 0, "other")])
    return log


def read(log):
    return [json.loads(text) for text in log.path.read_text().splitlines()]


def test_rewinding_drops_each_seeds_lines_beyond_its_step(log):
    log.rewind({"h/seed0": 2, "h/seed1": 0})
    kept = [(entry["hookpoint"], entry["seed"], entry["step"]) for entry in read(log)]
    assert kept == [("h", 0, 1), ("other", 0, 1), ("h", 0, 2), ("other", 0, 2), ("other", 0, 3)]


def test_lines_of_older_logs_name_an_sae_by_hookpoint_and_seed(log):
    lines = [{name: entry[name] for name in entry if name != "sae"} for entry in read(log)]
    log.path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    log.rewind({"h/seed0": 2})
    assert len(read(log)) == len(lines) - 1


def test_seeds_that_are_not_trained_now_keep_their_lines(log):
    before = log.path.read_bytes()
    log.rewind({"h/seed7": 0})
    assert log.path.read_bytes() == before


def test_of_a_step_logged_twice_the_later_line_stays(log):
    before = log.path.read_bytes()
    log.append([line(2, 1), line(3, 0) | {"fvu": 0.5}])
    log.rewind({"h/seed0": 3, "h/seed1": 3})
    assert log.path.read_bytes() == before.replace(
        json.dumps(line(3, 0)).encode(), json.dumps(line(3, 0) | {"fvu": 0.5}).encode()
    )


def test_a_line_cut_by_a_kill_is_dropped(log):
    before = log.path.read_bytes()
    with log.path.open("a") as file:
        file.write('{"step": 4, "tok')
    log.rewind({"h/seed0": 3, "h/seed1": 3})
    assert log.path.read_bytes() == before


def test_a_missing_end_of_line_is_restored(log):
    before = log.path.read_bytes()
    log.path.write_bytes(before[:-1])
    log.rewind({"h/seed0": 3, "h/seed1": 3})
    assert log.path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "not valid JSON: Expecting value"),
        ("{}", "not a line of a training log, 'step' is None; move the file away or repair it"),
        ("3", "not a line of a training log, 'step' is None"),
        (json.dumps(line(1, 0) | {"fvu": "low"}), "not a line of a training log, 'fvu' is 'low'"),
    ],
)
def test_a_file_that_is_no_log_is_refused_and_kept(log, text, problem):
    content = text + "\n" + log.path.read_text()
    log.path.write_text(content)
    with pytest.raises(ValueError, match=rf"log\.jsonl, line 1: {problem}"):
        log.rewind({"h/seed0": 0})
    assert log.path.read_text() == content


def test_no_log_is_an_empty_log(tmp_path):
    LogWriter(tmp_path / "log.jsonl").rewind({"h/seed0": 0})
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_read_by_sae_and_step(tmp_path):
    log = LogWriter(tmp_path / "log.jsonl")
    log.append([line(2, 10), line(2, 9)])
    log.append([line(1, 10), line(1, 9, "g"), line(2, 10) | {"fvu": 0.125}])
    with log.path.open("a") as file:
        file.write('{"step": 3, "tok')
    assert read_log(tmp_path) == {
        "g/seed9": [line(1, 9, "g")],
        "h/seed9": [line(2, 9)],
        "h/seed10": [line(1, 10), line(2, 10) | {"fvu": 0.125}],
    }


def test_a_run_without_a_log_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"no log\.jsonl in {tmp_path}: expected the folder"
    ):
        read_log(tmp_path)
