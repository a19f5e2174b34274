"""Keeps what was measured as JSON lines: one when a step begins, one when it ends."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STEPS = "steps.jsonl"

Record = dict[str, Any]
"""A line. `stage` is always there; `step` and `state` ("begin" or "end") are those of a step."""


def append(file: Path, **facts: object) -> None:
    """Add a line; it is in the file whatever happens to this process next."""
    with file.open("a") as lines:
        lines.write(json.dumps(facts, default=str) + "\n")


def read(file: Path) -> list[Record]:
    """Return all lines; one that a crash of the machine tore is left out."""
    found = []
    for line in file.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def results(records: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """Return {(stage, step): the line of its end}."""
    return {(r["stage"], r["step"]): r for r in records if r.get("state") == "end"}


def unfinished(records: Iterable[Record]) -> list[str]:
    """Name the steps that began and never ended: they hung, died, or ran out of time."""
    records = list(records)
    ended = results(records)
    begun = [(r["stage"], r["step"]) for r in records if r.get("state") == "begin"]
    return [f"{stage}: {step}" for stage, step in begun if (stage, step) not in ended]
