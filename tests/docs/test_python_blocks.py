"""Every Python block of the README and the manual runs.

The blocks of one page run in their order and share their names. Blocks that need other people's
trainers run in `tests/peers/test_manual.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PEERS = re.compile(r"^(?:import|from) (?:sparsify|sae_lens|dictionary_learning)\b", re.MULTILINE)


def python_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the line on which each Python block of a page begins, and its text."""
    text = page.read_text()
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield text[: found.start(1)].count("\n"), found[1]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_BLOCKS = [page for page in PAGES if any(python_blocks(page))]


def given(page: str) -> dict[str, Any]:
    """Return the names that a page says are the reader's own."""
    torch.manual_seed(0)
    if page == "README.md":
        weights = {name: torch.randn(48, 16) for name in ("W_enc", "W_dec")}
        biases = {"b_enc": torch.randn(48), "b_dec": torch.randn(16)}
        return {"x": torch.randn(64, 16), **weights, **biases}
    if page == "docs/guides/own-trainer.md":
        return {"x": torch.randn(64, 576)}
    return {}


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
@pytest.mark.usefixtures("manual_folder")
def test_the_blocks_of_a_page_run(page: Path):
    names = given(name_of(page))
    for line, block in python_blocks(page):
        if not PEERS.search(block):
            exec(compile("\n" * line + block, page, "exec"), names)


def test_there_are_blocks_to_run():
    runnable = [block for page in PAGES for _, block in python_blocks(page)]
    assert len(runnable) > 15
    assert sum(bool(PEERS.search(block)) for block in runnable) == 4


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path):
    fences = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
    assert set(fences[::2]) <= {"python", "bash", "sh", "yaml", "text", "bibtex"}
    assert not any(fences[1::2])
