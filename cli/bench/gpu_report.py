"""Runs `twinsae bench gpu`: checks and times the kernels on a GPU, and writes the results."""

from pathlib import Path

import torch
from rich.console import Console

from ...bench.clock import CpuClock
from ...bench.gpu.plan import Plan
from ...bench.gpu.plot import save_plot
from ...bench.gpu.results import Results
from ...bench.gpu.run import Run
from ...common.files import atomic_write
from .columns import (
    FASTER,
    MEMORY_WITH_RESULTS,
    MS,
    NOTES,
    OF_PRODUCT,
    REDONE,
    SPREAD,
    TOKENS,
    of_square,
)
from .tables import measurements_table

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
JSON, TABLE, PLOT = "gpu.json", "gpu.md", "gpu.svg"


def run_gpu(plan: Plan, clock: CpuClock, out: Path, console: Console) -> int:
    """Check and time; print a table, and write numbers, table and plot to the folder ``out``.

    Returns:
        1 if a result of ours is wrong or a kernel of ours failed, else 0.

    Raises:
        OSError: a file cannot be written.
    """

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    out.mkdir(parents=True, exist_ok=True)
    run = Run(plan, clock, out / JSON, tell)
    try:
        run.go()
    finally:  # after Ctrl-C or an error, the results so far are written
        text = results_text(run.results)
        with atomic_write(out / TABLE) as temporary:
            temporary.write_text(text + "\n")
        save_plot(run.results, out / PLOT)
    tell(f"\n{text}\n\n{out / JSON}, {TABLE}, {PLOT}")
    return int(run.results.wrong)


def results_text(results: Results) -> str:
    """Return all results in Markdown."""
    header = [f"{name}: {_said(value)}" for name, value in results.header.items()]
    right = sum(not check.problem for check in results.checks)
    parts = ["\n".join(header), f"{right} of {len(results.checks)} checks passed."]
    if results.square_flops:
        parts.append(f"A large square product: {results.square_flops / 1e12:,.1f} TFLOP/s.")
    if results.timings:
        share = of_square(results.square_flops)
        columns = MS, SPREAD, FASTER, TOKENS, MEMORY_WITH_RESULTS, OF_PRODUCT, share, REDONE
        parts.append(measurements_table(results.timings, columns))
    if results.matches:
        parts.append(measurements_table(results.matches, (MS, FASTER, MEMORY_WITH_RESULTS, NOTES)))
    for title, lines in (("Wrong or failed", results.refused), ("Left out", results.skipped)):
        if lines:
            parts.append("\n".join([f"{title}:", *(f"- {line}" for line in lines)]))
    if not results.finished:
        parts.append("The run was not finished.")
    return "\n\n".join(parts)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
