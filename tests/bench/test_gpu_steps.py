"""Steps and stages of `bench gpu`: whatever ends one, the others go on and results remain.

The stages here are a script that imports neither torch nor a kernel.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from twinsae.bench.gpu import parent
from twinsae.bench.gpu.records import STEPS, append, read, results, unfinished

CHILD = """
import os, signal, sys, time
from pathlib import Path
from twinsae.bench.gpu.steps import Steps

class Clock:
    works = True
    def synchronize(self): pass
    def release(self): pass
    def answers(self): return self.works

clock, (stage, out) = Clock(), sys.argv[1:3]
steps = Steps(stage, Path(out) / "steps.jsonl", clock)

def lose():
    clock.works = False
    raise RuntimeError("an illegal memory access\\nand more lines")

def wrong():
    raise ValueError("2 of 3 numbers are off")

if stage == "env":
    steps.run("right", lambda: {"ms": 1.5})
    steps.run("wrong", wrong)
    steps.run("of a peer", wrong, ours=False)
    steps.run("last", dict)
if stage == "parts":
    steps.run("kills", lambda: os.kill(os.getpid(), signal.SIGKILL))
    steps.run("hangs", lambda: time.sleep(60), seconds=0.3)
    steps.run("loses the device", lose)
    steps.run("last", lambda: {"pid": os.getpid()})
if stage == "times":
    steps.run("takes long", lambda: time.sleep(60))
if stage == "match":
    raise ImportError("no such module")
"""


def run(tmp_path: Path, *stages: str, minutes: float = 9.0) -> tuple[int, list[str]]:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    told: list[str] = []
    child = [sys.executable, str(script)]
    code = parent.run_stages(stages, tmp_path, minutes, told.append, child=child)
    return code, told


def outcomes(tmp_path: Path) -> dict[str, tuple[str, int]]:
    records = read(tmp_path / STEPS)
    return {r["stage"]: (r["outcome"], r["tries"]) for r in records if "outcome" in r}


def test_a_step_that_raises_is_recorded_and_the_next_goes_on(tmp_path: Path) -> None:
    assert run(tmp_path, "env") == (0, ["env: done, 0 s"])
    found = results(read(tmp_path / STEPS))
    assert [step for _, step in found] == ["right", "wrong", "of a peer", "last"]
    assert found["env", "right"]["ms"] == 1.5
    wrong = found["env", "wrong"]
    assert (wrong["problem"], wrong["ours"]) == ("ValueError: 2 of 3 numbers are off", True)
    assert found["env", "of a peer"]["ours"] is False
    assert "problem" not in found["env", "last"]
    assert "line" in (tmp_path / parent.LOG).read_text()  # of the traceback


def test_a_step_that_ends_its_process_ends_no_other(tmp_path: Path) -> None:
    code, told = run(tmp_path, "parts", "env")
    assert code == 0
    assert "4 processes" in told[0]
    records = read(tmp_path / STEPS)
    assert unfinished(records) == ["parts: kills", "parts: hangs"]
    found = results(records)
    lost = found["parts", "loses the device"]
    assert lost["problem"] == "RuntimeError: an illegal memory access"
    assert ("parts", "last") in found
    assert outcomes(tmp_path) == {"parts": ("done", 4), "env": ("done", 1)}


def test_a_stage_has_a_limit_and_one_that_gets_nowhere_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parent.LIMITS, "times", 0.7)
    monkeypatch.setattr(parent, "LEAST_SECONDS", 0.1)
    assert run(tmp_path, "times", "match", "env")[0] == 0
    assert unfinished(read(tmp_path / STEPS)) == ["times: takes long"]
    assert outcomes(tmp_path) == {
        "times": ("out of time", 1), "match": ("exit code 1", 1), "env": ("done", 1),
    }  # fmt: skip
    assert "no such module" in (tmp_path / parent.LOG).read_text()


def test_all_stages_end_with_the_minutes(tmp_path: Path) -> None:
    assert run(tmp_path, "env", minutes=0.1)[0] == 0  # less than the reports take
    assert outcomes(tmp_path) == {"env": ("not started: out of time", 0)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_children_and_keeps_the_results(tmp_path: Path, number: int) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    script = (
        "import sys; from pathlib import Path; from twinsae.bench.gpu.parent import run_stages; "
        "out = Path(sys.argv[1]); child = [sys.executable, str(out / 'child.py')]; "
        "sys.exit(run_stages(['env', 'times', 'parts'], out, 9.0, print, child=child))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    wait_for(tmp_path / STEPS, "takes long")
    process.send_signal(number)
    assert process.wait(20) == number
    found = read(tmp_path / STEPS)
    assert ("env", "right") in results(found)
    assert unfinished(found) == ["times: takes long"]
    assert found[-1] == {"stage": "all", "outcome": f"stopped by signal {number}"}
    child = next(r for r in found if r.get("step") == "takes long")
    assert child["stage"] == "times"


def test_a_child_whose_parent_was_killed_ends_before_its_next_step(tmp_path: Path) -> None:
    steps = tmp_path / STEPS
    steps.write_text("")
    child = (
        "import os, sys, time; from pathlib import Path; from twinsae.bench.gpu.steps import Steps;"
        "clock = type('Clock', (), dict(synchronize=lambda s: 0, release=lambda s: 0))();"
        "steps = Steps('env', Path(sys.argv[1]), clock); parent = os.getppid();"
        "steps.run('first', dict)\n"
        "while os.getppid() == parent: time.sleep(0.01)\n"
        "steps.run('second', dict); Path(sys.argv[1] + '.late').write_text('')"
    )
    script = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, {str(steps)!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    wait_for(steps, '"end"')
    process.kill()
    process.wait(20)
    time.sleep(0.5)
    assert [r["step"] for r in read(steps)] == ["first", "first"]
    assert not Path(f"{steps}.late").exists()


def wait_for(file: Path, text: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if file.exists() and text in file.read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"{text} never came")


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / STEPS
    append(file, stage="env", step="copy", state="end", ms=1.0)
    with file.open("a") as lines:
        lines.write('{"stage": "env", "st')
    assert read(file) == [json.loads(file.read_text().splitlines()[0])]
