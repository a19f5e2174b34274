"""The tables that `twinsae sweep` prints: what the tasks take, and what came of them."""

from rich.table import Table
from rich.text import Text

from ..common.units import format_bytes, format_seconds
from ..sweep import Outcome, Plan


def plan_table(plan: Plan) -> Table:
    """Return one row for each kind of task, and one for all."""
    table = Table(title="What is left", title_justify="left", caption_justify="left")
    table.caption = "time: predicted from short runs on this machine, one task after another"
    table.add_column("tasks")
    for name in ("left", "of", "tokens", "disk", "memory, at most", "time"):
        table.add_column(name, justify="right")
    for kind in plan.kinds:
        tokens = f"{kind.tokens:,}" if kind.tokens else ""
        told = [format_bytes(n) if n else "" for n in (kind.disk, kind.memory)]
        time = format_seconds(kind.seconds) if kind.left else ""
        table.add_row(kind.name, f"{kind.left:,}", f"{kind.tasks:,}", tokens, *told, time)
    left = sum(kind.left for kind in plan.kinds)
    of = sum(kind.tasks for kind in plan.kinds)
    time = format_seconds(sum(kind.seconds for kind in plan.kinds))
    table.add_row("all", f"{left:,}", f"{of:,}", "", format_bytes(plan.disk), "", time)
    return table


def outcome_table(outcome: Outcome) -> Table:
    """Return a row for each task that is not done."""
    table = Table(title="Tasks that are not done", title_justify="left")
    table.add_column("task", overflow="fold")
    table.add_column("why", overflow="fold")
    for name, reason in outcome.failed.items():
        table.add_row(name, Text(f"failed: {reason}"))  # it may hold 'twinsae[ray]'
    for name, what in outcome.waiting.items():
        table.add_row(name, f"waits for {what}")
    return table
