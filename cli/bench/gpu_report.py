"""Writes what `twinsae bench gpu` measured: gpu.json, gpu.md, gpu.svg, and a short summary."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...bench.gpu.records import STEPS, Record, read, results, unfinished
from ...bench.gpu.steps import said
from ...common.files import atomic_write
from ...common.packages import need
from .gpu_expectations import expectations_text
from .gpu_summary import summary
from .markdown import markdown_table

JSON, TABLES, PLOT = "gpu.json", "gpu.md", "gpu.svg"
NUMBERS = ("ms", "20 % to 80 %", "MiB", "TFLOP/s", "redone")
SHOWN = ("stage", "step", "state", "took", "rounds", "ms", "p20", "p80", "MiB", "TFLOP_s", "redone")
"""Facts that have a column, or that no table needs."""


class Report(NamedTuple):
    """What is printed, and whether a kernel of ours is wrong or failed."""

    summary: str
    wrong: bool


def write_reports(out: Path) -> Report:
    """Write the reports on the records in a folder.

    Raises:
        OSError: a file cannot be written.
    """
    records = read(out / STEPS)
    steps = list(results(records).values())
    stages = [r for r in records if "outcome" in r]
    cut = unfinished(records)
    _write(out / JSON, json.dumps({"stages": stages, "steps": steps, "unfinished": cut}, indent=1))
    _write(out / TABLES, tables(steps, cut))
    try:
        need("a plot", "matplotlib")
        from ...bench.gpu.plot import save_plot

        save_plot(steps, out / PLOT)
    except Exception as error:  # a plot that fails must not lose the summary
        stages = [*stages, {"stage": "plot", "outcome": said(error)}]
    wrong = any(r.get("problem") and r.get("ours") for r in steps)
    return Report(summary(stages, steps, cut, out), wrong)


def tables(steps: Sequence[Record], cut: Sequence[str]) -> str:
    """Return all results in Markdown: a table for each stage, and the table of expectations."""
    parts = ["# twinsae bench gpu"]
    for stage in dict.fromkeys(r["stage"] for r in steps):
        own = [r for r in steps if r["stage"] == stage]
        rows = [_row(r) for r in own]
        header = ("step", *NUMBERS, "notes")
        parts += [f"## {stage}", markdown_table(header, rows, set(NUMBERS))]
    if cut:
        parts.append("\n".join(["## Not finished", "", *(f"- {name}" for name in cut)]))
    if not any(r.get("rehearsal") for r in steps):
        parts += ["## Expectations", expectations_text(steps)]
    return "\n\n".join(parts) + "\n"


def _row(r: Record) -> tuple[str, ...]:
    spread = f"{r['p20']:.4g} to {r['p80']:.4g}" if "p20" in r else ""
    numbers = (f"{r['ms']:.4g}" if "ms" in r else "", spread)
    others = (str(r.get(name, "")) for name in ("MiB", "TFLOP_s", "redone"))
    notes = "; ".join(f"{k}: {_said(v)}" for k, v in r.items() if k not in SHOWN)
    return (r["step"], *numbers, *others, notes.replace("|", "/"))


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(own)}" for key, own in value.items())
    return " / ".join(map(str, value)) if isinstance(value, list) else str(value)


def _write(file: Path, text: str) -> None:
    with atomic_write(file) as temporary:
        temporary.write_text(text)
