"""`twinsae bench gpu`: checks and times the kernels on a GPU, and leaves files behind."""

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from ...bench.gpu.clock import CpuClock
from ...bench.gpu.plan import Plan
from ...bench.gpu.plot import save_plot
from ...bench.gpu.results import MatchTiming, Results, Timing
from ...bench.gpu.run import Run
from ...bench.measurement import OURS
from ...common.files import atomic_write
from ...common.units import format_bytes
from .markdown import markdown_table
from .tables import FASTER, MEMORY

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
JSON, TABLE, PLOT = "gpu.json", "gpu.md", "gpu.svg"


def run_gpu(plan: Plan, clock: CpuClock, out: Path, console: Console) -> int:
    """Check, time, print a table, and leave numbers, table and plot in the folder ``out``.

    Returns:
        1 if anything of ours is wrong or failed, else 0.

    Raises:
        OSError: a file cannot be written.
    """

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    out.mkdir(parents=True, exist_ok=True)
    run = Run(plan, clock, out / JSON, tell)
    try:
        run.go()
    finally:  # also of a part, after Ctrl-C or an error
        text = results_text(run.results)
        with atomic_write(out / TABLE) as temporary:
            temporary.write_text(text + "\n")
        save_plot(run.results, out / PLOT)
    tell(f"\n{text}\n\n{out / JSON}, {TABLE}, {PLOT}")
    return int(run.results.wrong)


def results_text(results: Results) -> str:
    """Return all that was found in Markdown."""
    header = [f"{name}: {_said(value)}" for name, value in results.header.items()]
    right = sum(not check.problem for check in results.checks)
    parts = ["\n".join(header), f"{right} of {len(results.checks)} checks passed."]
    if results.square_flops:
        parts.append(f"A large square product: {results.square_flops / 1e12:,.1f} TFLOP/s.")
    if results.tuned:
        fastest = [f"- {shape}: {route}" for shape, route in results.tuned.items()]
        parts.append("\n".join(["The scan's fastest route and cut:", *fastest]))
    if results.timings:
        parts.append(timings_table(results.timings))
    if results.matches:
        parts.append(matches_table(results.matches))
    for title, lines in (("Wrong or failed", results.refused), ("Left out", results.skipped)):
        if lines:
            parts.append("\n".join([f"{title}:", *(f"- {line}" for line in lines)]))
    if not results.finished:
        parts.append("The run was not finished.")
    return "\n\n".join(parts)


def timings_table(timings: Sequence[Timing]) -> str:
    """Return one table of all ops and shapes in Markdown, and what its columns mean."""
    ours = {_place(t): t.ms for t in timings if t.variant == OURS}
    rows, last = [], ""
    for t in timings:
        what = f"{t.op}, N = {t.N:,}, D = {t.D:,}, L = {t.L:,}, k = {t.k}"
        own = ours.get(_place(t))
        rows.append(
            (
                "" if what == last else what,
                t.variant,
                f"{t.ms:,.3f}",
                f"{t.p20:,.3f} to {t.p80:,.3f}",
                "" if own is None or t.variant == OURS else f"{t.ms / own:.2f}x",
                f"{t.tokens_per_second:,.0f}",
                format_bytes(t.peak_bytes),
                _share(t.of_product),
                _share(t.of_square),
                _share(t.redone),
            )
        )
        last = what
    header = (
        "what", "variant", "ms", "20 % to 80 %", FASTER, "tokens/s", MEMORY,
        "of the product", "of a square", "redone",
    )  # fmt: skip
    return (
        f"{markdown_table(header, rows, set(header[2:]))}\n\n"
        f'Medians. "{FASTER}": times as fast as that variant. Peak memory: of one call, above its '
        "inputs, results included. Of the product: what share of the time the encoder's bare "
        "product takes; of a square: operations a second of that product beside those of a large "
        "square one. Redone: rows that were not proved and were scored again."
    )


def matches_table(matches: Sequence[MatchTiming]) -> str:
    """Return the whole matches in Markdown."""
    rows = [
        (
            f"L = {match.L:,}, D = {match.D:,}",
            match.variant,
            f"{match.seconds:,.1f}",
            ", ".join(f"{phase} {took:.1f} s" for phase, took in match.phases.items()),
            format_bytes(match.peak_bytes),
            format_bytes(match.host_peak_bytes),
            f"certified, gap {match.gap:.1e}; {match.found}",
        )
        for match in matches
    ]
    header = ("match", "variant", "seconds", "phases", "device memory", "host memory", "notes")
    return markdown_table(header, rows, {"seconds", "device memory", "host memory"})


def _place(timing: Timing) -> tuple[object, ...]:
    return timing.op, timing.N, timing.D, timing.L, timing.k


def _share(part: float | None) -> str:
    return "" if part is None else f"{part:.3%}" if 0 < part < 0.01 else f"{part:.0%}"


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
