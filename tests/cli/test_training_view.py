import io
import json
import math
import re
from contextlib import suppress

import pytest
from rich.console import Console
from rich.text import Text
from twinsae.cli.tables import training_table
from twinsae.cli.training_view import TrainingTable, open_training_view, sparkline


def record(step, sae="h/seed0", fvu=0.5, **more):
    facts = {"hookpoint": "h", "seed": 0, "l0": 4.04, "dead": 1234}
    return {"step": step, "tokens": 10 * step, "sae": sae, "fvu": fvu} | facts | more


def console(*, terminal=True, height=24, width=100):
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=width, height=height), text


def shown(table, **size):
    target, text = console(terminal=False, **size)
    target.print(table)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([1, 1, 1], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, 0], "█▁"),
        ([1, math.nan, 0, math.inf], "█ ▁ "),
        ([math.nan], " "),
    ],
)
def test_a_sparkline_runs_from_the_least_to_the_largest(values, line):
    assert sparkline(values) == line


def test_a_long_sparkline_averages():
    assert sparkline([0, 2, 8, 6, 7, 7, 1, 1, 2], width=4) == "▁██▁"  # of 1, 7, 7, 4/3
    assert len(sparkline(range(1001))) == 20


def test_one_row_an_sae_with_its_latest_figures():
    table = TrainingTable()
    assert shown(table) == []
    table.remember([record(1, fvu=1.0), record(1, "h/other", fvu=0.1)])
    table.show([record(2), record(2, "h/seed1")])
    table.show([record(3, fvu=0.25)])
    assert shown(table) == [
        "SAE FVU L0 dead FVU so far",
        "h/seed0 0.2500 4.0 1,234 █▃▁",
        "h/seed1 0.5000 4.0 1,234 ▁",
    ]
    table.hidden = True
    assert shown(table) == []


def test_a_step_that_is_logged_again_counts_once():
    table = TrainingTable()
    table.remember([record(1, fvu=1.0), record(2, fvu=0.0)])
    table.show([record(2, fvu=0.0)])
    assert shown(table)[1].endswith(" █▁")


def test_a_failure_takes_the_curves_place():
    table = TrainingTable()
    table.show([record(1)])
    table.show(
        [{"step": 2, "sae": sae, "failure": f"{sae} [b]diverged"} for sae in ("h/seed0", "x")]
    )
    assert shown(table)[1:] == ["h/seed0 0.5000 4.0 1,234 h/seed0 [b]diverged", "x x [b]diverged"]


def test_a_low_terminal_keeps_its_bar():
    table = TrainingTable()
    table.show([record(1, f"h/seed{seed}") for seed in range(9)])
    assert shown(table, height=10)[-2:] == ["h/seed3 0.5000 4.0 1,234 ▁", "and 5 more"]


@pytest.mark.parametrize("stopped", [True, False])
def test_a_terminal_shows_the_table_above_the_bar(tmp_path, stopped):
    target, text = console(width=80)
    (tmp_path / "log.jsonl").write_text(json.dumps(record(1, fvu=0.9)) + "\n")
    with suppress(KeyboardInterrupt), open_training_view(target, tmp_path) as view:
        view.progress("train", 0, 4, "steps")
        view.on_log([record(2, fvu=0.125)])
        view.progress("train", 4, 4, "steps", tokens=40, fvu=0.125)
        if stopped:
            raise KeyboardInterrupt
    lines = Text.from_ansi(text.getvalue()).plain.splitlines()
    assert re.fullmatch(r" *40 tokens  [\d,]+ tokens/s  memory \d+ MiB  fvu 0.125", lines[-1])
    assert " 4/4 " in lines[-2]
    # Once it is through, the command prints the final figures.
    row = re.compile(r"h/seed0 +0.1250 +4.0 +1,234 +█▁ *")
    assert any(map(row.fullmatch, lines)) == stopped


def test_elsewhere_only_failures_are_lines(tmp_path):
    target, text = console(terminal=False)
    with open_training_view(target, tmp_path) as view:
        view.on_log([record(1), {"step": 1, "sae": "h/seed1", "failure": "lr: h/seed1 diverged"}])
    assert text.getvalue() == "lr: h/seed1 diverged\n"


def test_the_final_table_has_one_row_an_sae(tmp_path):
    saes = ("h/topk/seed10", "h/topk/seed9", "h/relu/seed9")
    lines = [record(step, sae, fvu=0.5 / step) for step in (1, 2) for sae in saes]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [line.split("│") for line in shown(training_table(tmp_path)) if line.startswith("│")]
    assert [[cell.strip() for cell in row[1:-1]] for row in rows] == [
        [sae, "20", "0.2500", "4.0", "1,234"]
        for sae in ("h/relu/seed9", "h/topk/seed9", "h/topk/seed10")
    ]
