"""One run over several processes, real ones that talk by gloo: each SAE becomes what it would."""

import json
import time
from dataclasses import replace

import pytest
from twinsae.sae import SAEConfig, TrainConfig
from twinsae.sae.activations import StoredBatches, open_activations
from twinsae.sae.training import Job, Ranks, train_many

CONFIG = TrainConfig(batch_size=20, epochs=2, lr=1e-2, save_every=15, log_every=4, dead_after=100)


def job(activation, seed=0, **settings):
    config = replace(CONFIG, **settings)
    folder = f"h/{activation}/seed{seed}"
    return Job("h", SAEConfig(13, 40, k=5, activation=activation), config, seed, folder)


JOBS = [
    job("topk", 0),
    job("topk", 1),
    job("batch_topk", aux=0.1),
    job("topk", 2),
    job("relu", sparsity=1.0, input_scale="sqrt_d"),
]


def train_alone(data, run):
    train_many(StoredBatches({"h": open_activations(data)}), run, JOBS)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of a run of `JOBS` in this process."""
    run = tmp_path_factory.mktemp("whole")
    train_alone(data, run)
    return run


def join(processes):
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def files(run):
    return {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def log_of(run, one):
    lines = (run / "log.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line)["sae"] == one.folder]


def same_saes(run, expected):
    """Whether all SAEs are the same, and each SAE's lines in the log."""
    names = [name for name in files(expected) if name.parts[0] == "h"]
    return all(log_of(run, one) == log_of(expected, one) for one in JOBS) and all(
        files(run)[name] == files(expected)[name] for name in names
    )


def test_saes_over_processes_become_what_they_become_in_one(start_training, whole, tmp_path):
    assert join(start_training("run", JOBS)) == [0, 0]
    assert files(tmp_path / "run") == files(whole)


def test_a_stop_in_any_process_stops_all_and_other_numbers_of_processes_go_on(
    start_training, whole, data, tmp_path
):
    stop = '"stop": lambda: ranks.rank == 1 and next(answers)'
    before = "answers = iter([False] * 6 + [True])"
    join(start_training("run", JOBS, before=before, more=stop))
    for rank in range(2):
        told = (tmp_path / f"run/error{rank}").read_text()
        assert told == "StoppedError: training was stopped at step 7 of 40, and saved"
        (tmp_path / f"run/error{rank}").unlink()
    before = "answers = iter([False] * 9 + [True])"
    join(start_training("run", JOBS, world=3, before=before, more=stop))
    for rank in range(3):
        (tmp_path / f"run/error{rank}").unlink()
    train_alone(data, tmp_path / "run")
    assert files(tmp_path / "run") == files(whole)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_process_ends_the_others_saved(start_training, whole, data, tmp_path, lost):
    kill = f"os.kill(os.getpid(), 9) if ranks.rank == {lost} and next(answers) else False"
    before = "answers = iter([False] * 22 + [True])"
    processes = start_training("run", JOBS, before=before, more=f'"stop": lambda: {kill}')
    assert join(processes)[lost] == -9
    error = tmp_path / f"run/error{1 - lost}"
    assert error.read_text() == (
        "LostProcessError: another process of the run ended, or cannot be reached; "
        "the SAEs of this one are saved, and the same command goes on"
    )
    error.unlink()
    for place, one in enumerate(JOBS):
        saved = (tmp_path / "run" / one.folder / "checkpoint.safetensors").read_bytes()
        step = 15 if place % 2 == lost else 23
        assert f'"step":"{step}"'.encode() in saved
    train_alone(data, tmp_path / "run")
    assert same_saes(tmp_path / "run", whole)


def test_an_sae_that_diverges_is_told_in_every_process(start_training, whole, tmp_path):
    jobs = [*JOBS, job("groupmax", lr=1e30, warmup_steps=0)]
    told = '"on_log": lambda records: told.extend(r for r in records if "failure" in r)'
    join(start_training("run", jobs, before="told = []", more=told))
    errors = [(tmp_path / f"run/error{rank}").read_text() for rank in range(2)]
    assert errors[0] == errors[1]
    assert errors[0].startswith("ValueError: lr: h/groupmax/seed0 diverged at step ")
    assert same_saes(tmp_path / "run", whole)


def test_more_processes_than_saes_are_refused(start_training, tmp_path):
    join(start_training("run", JOBS[:1]))
    for rank in range(2):
        told = (tmp_path / f"run/error{rank}").read_text()
        assert "data_parallel: 2 processes, but 1 SAEs at a time" in told


WAIT = """
    def work():
        time.sleep(1)
        return "found"

    import time
    from datetime import timedelta
    from pathlib import Path

    patient = ranks.apart()
    found = patient.from_first(patient.on_first(work))
    Path({out!r} + str(ranks.rank)).write_text(found)
    time.sleep(100 * ranks.rank)  # the second one says no more: the first gives up
    try:
        patient.any(True)
    except Exception as error:
        Path({out!r} + "error").write_text(f"{{type(error).__name__}}: {{error}}")
"""


def test_long_work_of_the_first_is_waited_for_and_silence_is_not(start, tmp_path):
    impatient = "module.PATIENCE = __import__('datetime').timedelta(seconds=0.4)"
    processes = start(impatient + WAIT.format(out=str(tmp_path / "found")))
    processes[0].join(60)
    assert [(tmp_path / f"found{rank}").read_text() for rank in range(2)] == ["found", "found"]
    told = (tmp_path / "founderror").read_text()
    assert told == "LostProcessError: another process of the run ended, or cannot be reached"
    assert processes[1].is_alive()


def test_a_single_process_talks_to_nobody():
    ranks = Ranks()
    assert ranks.first
    assert ranks.any(True, False) == [True, False]
    assert ranks.gather("mine") == ["mine"]
    assert ranks.from_first(ranks.on_first(lambda: time.gmtime(0).tm_year)) == 1970
