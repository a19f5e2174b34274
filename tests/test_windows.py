"""On Windows, an installation and an import say in one line what to do."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import twinsae.common

ROOT = Path(__file__).parents[1]
LINE = "twinsae: Windows itself is not supported; install it in WSL 2, which runs Linux"
SETUP = "import runpy, sys, setuptools; sys.platform = 'win32'; runpy.run_path('setup.py')"


def test_setup_refuses() -> None:
    command = [sys.executable, "-c", SETUP]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{LINE}\n")


def test_import_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImportError, match=f"^{LINE}$"):
        importlib.reload(twinsae.common)
