"""The runner of tasks, and processes for them: what is run, skipped, noted and tried again."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from twinsae.common.processes import Processes, devices, threads_each
from twinsae.common.running import Here, run_tasks, why_failed
from twinsae.common.tasks import Tools
from twinsae.matching import AllSeeds, match_all

TASKS = '''
import os, time
from dataclasses import dataclass
from pathlib import Path
from twinsae.common.tasks import Need


@dataclass(frozen=True)
class Step:
    """Writes its environment to a file, after others are there."""

    name: str
    folder: Path
    after: tuple[str, ...] = ()
    how: str = ""

    def is_done(self):
        return (self.folder / self.name).is_file()

    def waits_for(self):
        missing = [name for name in self.after if not (self.folder / name).is_file()]
        return ", ".join(missing) or None

    def need(self):
        return Need()

    def run(self, tools):
        with (self.folder / f"{self.name}.log").open("a") as log:
            log.write("begun ")
        tools.progress("phase", 0, 1, "steps")
        tools.progress("phase", 1, 1, "steps", loss=0.5)
        if self.how == "fails":
            raise ValueError("out\\nof luck")
        if self.how == "is broken":
            raise ZeroDivisionError("a mistake of ours")
        while self.how == "stops" and not tools.stop():
            time.sleep(0.01)
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
        text = " ".join(os.environ.get(name, "") for name in names)
        (self.folder / self.name).write_text(f"{text} {os.getpid()}")
'''
LIMIT = 120.0


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A kind of task in a module that other processes find, too."""
    place = tmp_path / "modules"
    place.mkdir()
    (place / "steps_of_tests.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(place))
    from importlib import import_module, invalidate_caches

    invalidate_caches()
    return import_module("steps_of_tests").Step


def told_by():
    """Tools, and what they were told."""
    told = []
    deadline = time.monotonic() + LIMIT

    def stop():
        assert time.monotonic() < deadline, "the tasks took too long"
        return False

    return Tools(lambda *words, **_: told.append(words), told.append, stop), told


@pytest.fixture(params=["here", "processes"])
def engine(request):
    tools, told = told_by()
    if request.param == "here":
        yield Here(tools), told
    else:
        with Processes(["7", "4"], 3, tools) as processes:
            yield processes, told


def test_tasks_run_after_what_they_wait_for_and_only_once(engine, step, tmp_path):
    every = [step("c", tmp_path, ("b",)), step("b", tmp_path, ("a",)), step("a", tmp_path)]
    every.append(step("d", tmp_path, ("nobody's",)))
    (tmp_path / "e").touch()
    every.append(step("e", tmp_path))
    begun = []
    outcome = run_tasks(every, tmp_path, engine[0], begins=begun.append)
    assert begun == ["a", "b", "c"]
    assert outcome == (["e", "a", "b", "c"], {}, {"d": "nobody's"})
    assert [(tmp_path / f"{name}.log").read_text() for name in "abc"] == ["begun "] * 3


def test_a_task_that_fails_is_noted_until_it_succeeds(engine, step, tmp_path):
    every = [step("a/b", tmp_path, how="fails"), step("c", tmp_path), step("d", tmp_path, ("a",))]
    (tmp_path / "a").mkdir()
    failed = []
    outcome = run_tasks(every, tmp_path, engine[0], fails=lambda *told: failed.append(told))
    assert outcome == (["c"], {"a/b": "out of luck"}, {"d": "a"})
    assert failed == [("a/b", "out of luck")]
    assert why_failed(tmp_path, "a/b") == "out of luck"
    assert why_failed(tmp_path, "c") is None
    (note,) = (tmp_path / ".failed").iterdir()
    assert json.loads(note.read_text()) == {"task": "a/b", "reason": "out of luck"}
    assert run_tasks([step("a/b", tmp_path)], tmp_path, engine[0]).done == ["a/b"]
    assert not list((tmp_path / ".failed").iterdir())


def test_a_mistake_of_ours_ends_the_run(engine, step, tmp_path):
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        run_tasks([step("a", tmp_path, how="is broken")], tmp_path, engine[0])


def test_each_process_has_its_device_and_threads(step, tmp_path):
    tools, told = told_by()
    every = [step(f"t{number}", tmp_path) for number in range(6)]
    with Processes(["7", "4"], 3, tools) as processes:
        assert run_tasks(every, tmp_path, processes).done
    found = [(tmp_path / task.name).read_text().split() for task in every]
    assert {device for device, _, _ in found} == {"7", "4"}
    assert {threads for _, threads, _ in found} == {"3"}
    by_device = {device: process for device, _, process in found}
    assert all(by_device[device] == process for device, _, process in found)
    assert ("t3 phase", 1, 1, "steps") in told
    assert not multiprocessing.active_children()


def test_a_request_to_stop_reaches_the_processes(step, tmp_path):
    begun = time.monotonic()
    tools, _ = told_by()
    tools = tools._replace(stop=lambda: (tmp_path / "a.log").is_file())
    with pytest.raises(KeyboardInterrupt), Processes(["0"], 1, tools) as processes:
        run_tasks([step("a", tmp_path, how="stops"), step("b", tmp_path)], tmp_path, processes)
    assert (tmp_path / "a").is_file()
    assert not (tmp_path / "b.log").exists()
    assert time.monotonic() - begun < LIMIT


def test_pairs_are_matched_though_processes_are_killed(four_saes, assert_equal_matches, tmp_path):
    tools, told = told_by()
    killed = []

    def kill(*words, **_):
        if "s1--s2" in words[0] and not killed:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)

    seeds = AllSeeds(four_saes, tmp_path / "out")
    with Processes(["0", "1"], 1, tools._replace(progress=kill)) as processes:
        outcome = run_tasks(seeds.tasks(), tmp_path / "out", processes)
    assert not outcome.failed
    assert len(outcome.done) == 6
    assert len(killed) == 2
    assert any("was killed by SIGKILL; it is tried again" in line for line in told)
    assert not seeds.finish()["missing"]
    match_all(four_saes, tmp_path / "other")
    assert_equal_matches(tmp_path / "out", tmp_path / "other")


def test_a_task_that_kills_its_process_twice_fails(four_saes, tmp_path):
    tools, _ = told_by()

    def kill(*words, **_):
        if words[0].startswith("s0--s1"):
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    seeds = AllSeeds(four_saes[:3], tmp_path / "out")
    with Processes(["0"], 1, tools._replace(progress=kill)) as processes:
        outcome = run_tasks(seeds.tasks(), tmp_path / "out", processes)
    assert outcome.failed == {"s0--s1": "its process was killed by SIGKILL, 2 times"}
    assert outcome.done == ["s0--s2", "s1--s2"]
    assert seeds.finish()["missing"] == [{"a": "s0", "b": "s1", "reason": outcome.failed["s0--s1"]}]


def test_two_processes_that_match_the_same_pair_both_succeed(four_saes, tmp_path):
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=match_all, args=(four_saes[:2], tmp_path / "out"), daemon=True)
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(LIMIT)
    assert [process.exitcode for process in both] == [0, 0]
    assert not match_all(four_saes[:2], tmp_path / "out")["missing"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_devices_are_those_that_are_visible(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-1,2")
    assert devices(3) == ["5", "GPU-1", "2"]
    with pytest.raises(ValueError, match="gpus: expected at most the 3 GPUs of this machine, got"):
        devices(4)


def test_threads_are_shared_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(10)))
    assert [threads_each(number) for number in (1, 3, 20)] == [10, 3, 1]
