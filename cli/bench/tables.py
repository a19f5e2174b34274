"""The tables of `twinsae bench`, in Markdown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...bench.machine import describe, warnings
from ...bench.measurement import Measurement, by_task
from ...bench.problem import in_words
from ...bench.scaling import Growth
from ...bench.threads import MEASURED, PREDICTED, Phase
from .columns import FASTER, MEMORY, MS, NOTES, RATE, Column
from .markdown import markdown_table

if TYPE_CHECKING:
    from rich.console import Console

CPU_COLUMNS = (MS, FASTER, RATE, MEMORY, NOTES)
TRAINING_COLUMNS = (MS, FASTER, MEMORY, NOTES)
GROWTH_BAR = 0.2  # how far the time per latent or per token may be from constant
UNITS = {"L": "latent", "N": "token"}


def print_table(console: "Console", table: str) -> None:
    """Print a table, with warnings before it and a line on the machine after it."""
    for text in (*warnings(), table, "", describe()):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def measurements_table(
    measured: Sequence[Measurement], columns: Sequence[Column] = CPU_COLUMNS
) -> str:
    """Return a table in Markdown with a row for each way, and what its columns mean."""
    rows = []
    for task, ways in by_task(measured):
        label = f"{task.job}, {in_words(task.sizes)}, {task.source}"
        for one in ways.values():
            rows.append((label, one.way, *(column.cell(one, ways) for column in columns)))
            label = ""
    header = ("what", "way", *(column.title for column in columns))
    numbers = {column.title for column in columns if column is not NOTES}
    meanings = " ".join(column.meaning for column in columns if column.meaning)
    return f"{markdown_table(header, rows, numbers)}\n\n{meanings}"


def threads_table(measured: Sequence[tuple[str, Sequence[Phase]]]) -> str:
    """Return the seconds of the phases of matches in Markdown: measured, and predicted for more."""
    rows, slowed = [], []
    for label, phases in measured:
        numbers = {phase.name: _seconds(phase) for phase in phases}
        numbers["all"] = [sum(column) for column in zip(*numbers.values(), strict=True)]
        for name, seconds in numbers.items():
            rows.append((label, name, *(f"{number:.2f}" for number in seconds)))
            label = ""
        slowed.append(f"{phases[0].slowdown:.2f}")
    titles = [f"s, {threads} threads" for threads in MEASURED]
    titles += ["s, serial", *(f"s, predicted, {threads}" for threads in PREDICTED)]
    table = markdown_table(("what", "phase", *titles), rows, set(titles))
    return (
        f"{table}\n\nSerial, and what is predicted for more threads: from a model that cuts each "
        "phase in a part that threads share and a rest. A core beside another that does the same "
        f"work in another process took {', '.join(slowed)} times as long as alone; the model lets "
        "more cores slow each other as much, not more."
    )


def _seconds(phase: Phase) -> list[float]:
    """Return what was measured, the serial part of it, and what is predicted."""
    more = (phase.predicted(threads) for threads in PREDICTED)
    return [*(phase.seconds[threads] for threads in MEASURED), phase.serial, *more]


def growth_table(growths: Sequence[Growth]) -> str:
    """Return the times per latent and per token in Markdown, and how far from constant they are."""
    rows, sentences = [], []
    for growth in growths:
        unit, ways = UNITS[growth.grows], list(growth.seconds)
        fixed = {
            name: size
            for name, size in zip("NDLk", growth.shape, strict=True)
            if name != growth.grows
        }
        for size in growth.seconds[ways[0]]:
            times = [f"{1e6 * growth.seconds[way][size]:.2f}" for way in ways]
            rows.append((f"{growth.grows} = {size:,}, {in_words(fixed)}", f"us / {unit}", *times))
        for way in ways:
            deviation = growth.deviation(way)
            verdict = "within" if deviation <= GROWTH_BAR else "NOT within"
            sentences.append(
                f"Per {unit}, {way}: at most {deviation:.0%} from the median, "
                f"{verdict} {GROWTH_BAR:.0%}."
            )
    ways = list(growths[0].seconds)
    table = markdown_table(("size", "unit", *ways), rows, set(ways))
    return "\n".join([table, "", *sentences])
