"""Stage checks: the contract suite of the kernels on the device, by pytest, if it is there."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..refuse import WrongResultError
from .records import Record
from .setting import Setting
from .steps import Steps

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "kernels"
PYTEST = (sys.executable, "-P", "-m", "pytest", "-v", "-p", "no:cacheprovider")
SECONDS = 65.0  # the limit of the step
TESTING = SECONDS - 5.0  # that of pytest, which then tells what it did


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    steps.run("first contact", partial(first_contact, setting), SECONDS)


def first_contact(setting: Setting) -> Record:
    """Run the tests with the marker `first_contact`; a rehearsal only lists them.

    Raises:
        WrongResultError: a test or pytest itself fails, or the time does not suffice.
    """
    if not TESTS.is_dir() or find_spec("pytest") is None:
        return {"left_out": "tests/kernels is not beside the package, or pytest is not installed"}
    command = [*PYTEST, str(TESTS), "--device", setting.device.type, "-m", "first_contact"]
    if setting.rehearsal:
        command.append("--collect-only")
    output, ended = _run(command)
    print(output, flush=True)
    lines = output.strip().splitlines() or ["pytest says nothing"]
    told = lines[-1].strip("= ")
    if ended:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        passed = f"{output.count(' PASSED')} tests passed"
        raise WrongResultError("; ".join([f"{ended}, {passed}", told, *failed]))
    return {"tests": told}


def _run(command: Sequence[str]) -> tuple[str, str]:
    """Return what a command prints, and how it ended if not well."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TESTING
        )
    except subprocess.TimeoutExpired as late:
        return (late.output or b"").decode(), "out of time"
    return done.stdout.decode(), f"exit code {done.returncode}" if done.returncode else ""
