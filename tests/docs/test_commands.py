"""The commands in the manual's shell blocks exist, with the options that they show."""

import re
import shlex
from pathlib import Path

import pytest
from twinsae.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def shell_lines() -> list[str]:
    """Return every line of every shell block, continued lines joined."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]


LINES = shell_lines()
COMMANDS = sorted({line for line in LINES if line.startswith("twinsae ")})
TARGETS = sorted(
    {
        target
        for line in LINES
        if line.startswith("make ")
        for target in shlex.split(line, comments=True)[1:]
    }
)


def test_blocks_hold_nothing_else():
    programs = {line.split()[0] for line in LINES}
    assert programs == {"twinsae", "make", "pip", "pytest"}
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_has_its_options(line: str, capsys: pytest.CaptureFixture[str]):
    words = shlex.split(line, comments=True)[1:]
    options = [word for word in words if word.startswith("--")]
    before = words[: words.index(options[0])] if options else words
    assert main([*before, "--help"]) == 0
    shown = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
    assert set(options) <= shown


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_exists(target: str):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
