"""`twinsae sweep`: what it prints, and the errors of its users."""

import signal
from pathlib import Path

import pytest
from twinsae.cli.main import main
from twinsae.sweep import Sweep, read_grid, tasks

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


@pytest.fixture
def hears_ctrl_c():
    """What a shell starts with & ignores it, and so do its tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("part", ["HarvestPart.run", "fire"])
def test_ctrl_c_ends_at_once_what_is_no_training(grid, tmp_path, capsys, monkeypatch, part):
    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the signal was not heard")

    words = ["sweep", str(grid), "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patched:
        patched.setattr(f"twinsae.sweep.tasks.{part}", interrupted)
        assert main(words) == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err
    assert main(words) == 0
    assert "5 of 5 tasks are done" in capsys.readouterr().out


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_after_the_last_step_ends_before_the_next_task(grid, tmp_path, monkeypatch):
    train_many, asked = tasks.train_many, []

    def interrupted(*given, stop, **others):
        train_many(*given, stop=lambda: bool(asked.append(stop())), **others)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(tasks, "train_many", interrupted)
    monkeypatch.setattr(tasks, "fire", lambda *_, **__: pytest.fail("the signal was not heard"))
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 130
    assert asked == [False, False]


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_while_it_trains_saves_first(grid, tmp_path, capsys, monkeypatch):
    train_many = tasks.train_many

    def interrupted(*given, progress, **others):
        def tell(phase, done, total, unit, **shown):
            if done == 1:
                signal.raise_signal(signal.SIGINT)
            progress(phase, done, total, unit, **shown)

        train_many(*given, progress=tell, **others)

    words = ["sweep", str(grid), "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "train_many", interrupted)
        assert main(words) == 130
    captured = capsys.readouterr()
    assert "SIGINT: saving; a second one ends at once" in captured.out + captured.err
    assert "stopped at step 2 of 3; to go on, type: twinsae sweep" in captured.err
    assert main(words) == 0


def test_a_grid_that_there_is_not(capsys):
    assert main(["sweep", "paper-nano", "--out", "x"]) == 2
    assert "paper-nano is no file, and no grid of twinsae: these are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "series", "saes", "pairs"),
    [
        ("figure-2", {}, 9, 36),
        ("figure-4", {"size": 6, "k": 4, "tokens": 3}, 22, 11),
        ("figure-5-layers", {"layer": 36}, 72, 36),
        ("figure-5-models", {"model": 7}, 14, 7),
        ("figure-5-architectures", {"architecture": 3}, 6, 3),
        (
            "paper-mini",
            {"size": 4, "k": 4, "tokens": 3, "layer": 6, "architecture": 4, "model": 4},
            41,
            28,
        ),
    ],
)
def test_the_grids_that_come_with_twinsae(name: str, series: dict, saes: int, pairs: int):
    sweep = Sweep(read_grid(GRIDS / f"{name}.yaml"), Path("nowhere"))
    grid = sweep.grid
    assert {each: len(members) for each, members in grid.series.items()} == series
    assert sum(len(each.seeds) for each in grid.configurations) == saes
    assert sum(len(group.pairs) for group in sweep.groups) == pairs


def test_every_grid_is_tested():
    found = {path.stem for path in GRIDS.glob("*.yaml")}
    figures = {"figure-2", "figure-4", "figure-5-layers", "figure-5-models"}
    assert found == {*figures, "figure-5-architectures", "paper-mini"}
