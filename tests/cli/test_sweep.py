"""`twinsae sweep`: what it prints, and the errors of its users."""

from pathlib import Path

import pytest
from twinsae.cli.main import main
from twinsae.sweep import read_grid

GRID = """
base: {{model: {model}, hookpoint: h.1, text: {text}, tokens: 300, context: 16, num_latents: 9,
        k: 3, batch_size: 100, warmup_steps: 2, lr: 4.0e-3, seeds: [0, 1]}}
series:
  size: {{num_latents: 14}}
"""

GRIDS = Path(__file__).parents[2] / "sweep/grids"


@pytest.fixture
def grid(tmp_path: Path, model_folder: Path) -> Path:
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog " * 20)
    path = tmp_path / "grid.yaml"
    path.write_text(GRID.format(model=model_folder, text=tmp_path / "text.txt"))
    return path


def test_a_dry_run_and_a_run(grid: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert main(["sweep", str(grid), "--out", str(out), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "harvest" in printed
    assert "predicted" in printed
    assert not out.exists()
    assert main(["sweep", str(grid), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "5 of 5 tasks are done" in printed
    assert f"report: {out}/report/index.html" in printed
    assert (out / "series/size/figures/by-size.svg").is_file()


def test_a_task_that_fails_is_named(grid: Path, tmp_path: Path, capsys, monkeypatch):
    def broken(*_, **__):
        raise ValueError("the counter is broken")

    monkeypatch.setattr("twinsae.sweep.tasks.fire", broken)
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "1 tasks failed; the same command tries them again" in captured.err
    assert "the counter is broken" in captured.out
    assert "waits for" in captured.out


def test_a_grid_that_there_is_not(capsys):
    assert main(["sweep", "paper-nano", "--out", "x"]) == 2
    assert "paper-nano is no file, and no grid of twinsae: these are" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.yaml")))
def test_the_grids_that_come_with_twinsae_are_right(path: Path):
    grid = read_grid(path)
    assert len(grid.configurations) > 1
    assert {each.folder for each in grid.configurations}
