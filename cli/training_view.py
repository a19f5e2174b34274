"""What `twinsae train` shows while it trains: a live table on a terminal, and the bar below."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from ..common.progress import Progress, silent
from ..sae.log_to import LogTo, open_sinks
from ..sae.training.log import LOG, Record, read_log
from .progress import open_progress

SPARK_WIDTH = 20
_LINES_BELOW = 6  # of the terminal, for the bars and the table's own head
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=*#"


class TrainingView(NamedTuple):
    """What is told of training: its progress, and its log."""

    progress: Progress
    on_log: Callable[[Sequence[Record]], None]


@contextmanager
def open_training_view(
    console: Console, run: Path, log_to: Sequence[LogTo] = ()
) -> Iterator[TrainingView]:
    """Show training that writes its log in ``run``, and send the log on.

    A terminal gets a live table, anything else a line where an SAE fails.
    """
    table = TrainingTable()
    before = read_log(run) if (run / LOG).is_file() else {}
    for records in before.values():
        table.remember(records)
    with ExitStack() as stack:
        # Made before the display, which takes over what these print.
        send = stack.enter_context(open_sinks(log_to, run))
        for records in before.values():
            send(records)
        above = [table] if console.is_terminal else []
        progress = stack.enter_context(open_progress(console, above))

        def on_log(records: Sequence[Record]) -> None:
            if console.is_terminal:
                table.show(records)
            else:
                _print_failures(console, records)
            send(records)

        yield TrainingView(progress, on_log)
        table.hidden = True  # the command prints the final figures


def unseen() -> tuple[Console, TrainingView]:
    """Return what shows nothing, for the processes of a run that are not the first."""
    return Console(quiet=True), TrainingView(silent, lambda _: None)


class TrainingTable:
    """One row an SAE in training, with its FVU so far as a line of blocks."""

    def __init__(self) -> None:
        self.hidden = False
        self._fvu: dict[str, dict[int, float]] = {}
        self._latest: dict[str, Record] = {}
        self._failures: dict[str, str] = {}

    def remember(self, records: Sequence[Record]) -> None:
        """Take what was logged earlier, for the curves; SAEs not in training now get no row."""
        for record in records:
            self._fvu.setdefault(record["sae"], {})[record["step"]] = record["fvu"]

    def show(self, records: Sequence[Record]) -> None:
        """Take what is logged now."""
        for record in records:
            if "failure" in record:
                self._failures[record["sae"]] = record["failure"]
                self._latest.setdefault(record["sae"], {})
            else:
                self._latest[record["sae"]] = record
                self.remember([record])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many rows as the terminal has lines for."""
        if self.hidden or not self._latest:
            return
        table = Table("SAE", box=None, pad_edge=False)
        for name in ("FVU", "L0", "dead"):
            table.add_column(name, justify="right")
        table.add_column("FVU so far")
        blocks = _ASCII_BLOCKS if options.ascii_only else _BLOCKS
        latest = dict(self._latest)  # training may add to it meanwhile
        shown = list(latest)[: max(console.size.height - _LINES_BELOW, 1)]
        for sae in shown:
            table.add_row(sae, *_figures(latest[sae]), self._last_cell(sae, blocks))
        yield table
        if hidden := len(latest) - len(shown):
            yield Text(f"and {hidden} more", style="dim")

    def _last_cell(self, sae: str, blocks: str) -> Text:
        if sae in self._failures:
            return Text(self._failures[sae], style="red")
        return Text(sparkline(list(self._fvu[sae].values()), blocks), style="cyan")


def sparkline(values: Sequence[float], blocks: str = _BLOCKS, width: int = SPARK_WIDTH) -> str:
    """Return ``values`` as a line of blocks, from their least to their largest.

    More values than ``width`` are averaged in runs of nearly equal length. NaN and infinite ones
    leave a gap.
    """
    size = min(len(values), width)
    edges = [place * len(values) // size for place in range(size + 1)] if size else []
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    finite = [mean for mean in means if abs(mean) < float("inf")]
    if not finite:
        return " " * size
    low, span = min(finite), max(finite) - min(finite)

    def block(mean: float) -> str:
        if mean not in finite:
            return " "
        return blocks[round((mean - low) / span * (len(blocks) - 1)) if span else 0]

    return "".join(map(block, means))


def _figures(record: dict[str, Any]) -> list[str]:
    if not record:
        return ["", "", ""]
    return [f"{record['fvu']:.4f}", f"{record['l0']:.1f}", f"{record['dead']:,}"]


def _print_failures(console: Console, records: Sequence[Record]) -> None:
    for record in records:
        if "failure" in record:
            console.print(record["failure"], highlight=False, markup=False, soft_wrap=True)
