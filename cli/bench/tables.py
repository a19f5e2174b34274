"""The tables of `twinsae bench`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...bench.inputs import Shape
from ...bench.machine import describe, warnings
from ...bench.measurement import OURS, Measurement
from ...bench.scaling import Growth
from ...bench.training import Training
from ...common.units import format_bytes
from .markdown import markdown_table

if TYPE_CHECKING:
    from rich.console import Console

FASTER, RATE, MEMORY = f"{OURS} is", "GFLOP/s", "peak memory"
GROWTH_BAR = 0.2  # of constant time per latent and per token
UNITS = {"L": "latent", "N": "token"}


def print_table(console: "Console", table: str) -> None:
    """Print a table between what slows others down here and a line on the machine."""
    for text in (*warnings(), table, "", describe()):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def measurements_table(results: Sequence[tuple[str, str, Measurement]]) -> str:
    """Return one table of all benchmarks in Markdown, and what its columns mean.

    Args:
        results: what was measured, on which inputs, and the numbers.
    """
    rows = []
    for what, source, result in results:
        label, ours = f"{what}, {sizes_of(result.sizes)}, {source}", result.seconds[OURS]
        for way, seconds in result.seconds.items():
            rows.append(
                (
                    label,
                    way,
                    f"{1e3 * seconds:,.1f}",
                    "" if way == OURS else f"{seconds / ours:.2f}x",
                    f"{result.operations / seconds / 1e9:,.0f}",
                    format_bytes(result.peak_bytes[way]),
                    "; ".join(result.facts.get(way, ())),
                )
            )
            label = ""
    header = ("what", "way", "ms", FASTER, RATE, MEMORY, "notes")
    table = markdown_table(header, rows, {"ms", FASTER, RATE, MEMORY})
    return (
        f"{table}\n\n"
        f'Medians. "{FASTER}": times as fast as that way. GFLOP/s: as if the whole product were '
        "computed, once. Peak memory: of one call, above its inputs and outputs."
    )


def growth_table(growths: Sequence[Growth]) -> str:
    """Return times per latent and per token in Markdown, and how far from constant they are."""
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
            rows.append((f"{growth.grows} = {size:,}, {sizes_of(fixed)}", f"us / {unit}", *times))
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


def training_table(results: Sequence[Training], shape: Shape, source: str) -> str:
    """Return other people's training loops, as they are and plugged, in Markdown."""
    rows = [
        (
            f"{result.peer}, AuxK" if result.auxk else result.peer,
            *(f"{1e3 * seconds:,.0f}" for seconds in result.seconds),
            f"{result.seconds[0] / result.seconds[1]:.1f}x",
            *map(format_bytes, result.peak_bytes),
            *(f"{value:.4f}" for value in result.fvu),
        )
        for result in results
    ]
    both = [
        f"{what}{side}" for what in ("ms", "memory", "FVU") for side in (", stock", ", plugged")
    ]
    header = ("trainer", *both[:2], "faster", *both[2:])
    table = markdown_table(header, rows, set(header[1:]))
    sizes = sizes_of(dict(zip("NDLk", shape, strict=True)))
    return (
        f"{table}\n\n"
        f"Training at {sizes}, {source} activations. ms: median of a step, with the trainer's own "
        "optimiser. Memory: the peak of a step, above what stays between steps. FVU: of the last "
        "batch after all steps."
    )


def sizes_of(sizes: Mapping[str, int]) -> str:
    """Return sizes in words, as in N = 2,048, k = 32."""
    return ", ".join(f"{name} = {size:,}" for name, size in sizes.items())
