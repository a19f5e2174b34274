"""Stage checks: the contract suite of the kernels on the device, by pytest, if it is there."""

import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..refuse import WrongResultError
from .records import Record
from .setting import Setting
from .steps import Steps

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "kernels"
PYTEST = (sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider")
SECONDS = 65.0


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    steps.run("first contact", partial(first_contact, setting), SECONDS)


def first_contact(setting: Setting) -> Record:
    """Run the tests with the marker `first_contact`; a rehearsal only lists them.

    Raises:
        WrongResultError: a test fails, or pytest does.
    """
    if not TESTS.is_dir() or find_spec("pytest") is None:
        return {"left_out": "tests/kernels is not beside the package, or pytest is not installed"}
    command = [*PYTEST, str(TESTS), "--device", setting.device.type, "-m", "first_contact"]
    if setting.rehearsal:
        command.append("--collect-only")
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, flush=True)
    lines = done.stdout.strip().splitlines() or ["pytest says nothing"]
    if done.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise WrongResultError("; ".join([lines[-1].strip("= "), *failed]))
    return {"tests": lines[-1].strip("= ")}
