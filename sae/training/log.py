"""``RUN/log.jsonl``: what training showed, one line per logged step and SAE."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...common.files import atomic_write
from .ranks import Ranks

LOG = "log.jsonl"

Record = dict[str, Any]

OnLog = Callable[[Sequence[Record]], None]
"""Is told the records of a step as they are logged. An SAE that cannot go on has a record that is
not logged: step, sae and failure, which says why."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "tokens": int,
    "hookpoint": str,
    "seed": int,
    "fvu": (int, float),
    "l0": (int, float),
    "dead": int,
}


def read_log(run: Path) -> dict[str, list[Record]]:
    """Read the log of a run.

    A last line that is cut short, as a killed run leaves it, is passed over. Of steps logged twice,
    the later line counts. Lines from before one seed could have several SAEs name no ``sae``; they
    get it.

    Returns:
        The records of each SAE in the order of their steps; by its folder in the run, in the order
        of the names, numbers in them by their size.

    Raises:
        FileNotFoundError: there is no log in ``run``.
        ValueError: a line is not JSON, or lacks a number that a log line has.
    """
    path = run / LOG
    if not path.is_file():
        raise FileNotFoundError(f"no {LOG} in {run}: expected the folder of `twinsae train`")
    found: dict[str, dict[int, Record]] = {}
    for _, record in _parse(path):
        found.setdefault(record["sae"], {})[record["step"]] = record
    return {
        sae: [found[sae][step] for step in sorted(found[sae])]
        for sae in sorted(found, key=_by_number)
    }


def find_run(sae: Path) -> Path | None:
    """Return the training run that ``sae`` is a part of, or None.

    That is the nearest folder with a ``log.jsonl``, ``sae`` itself or at most four up, as
    ``run/<hookpoint>/topk-k32/seed<N>/sae.safetensors`` is.
    """
    folders = [sae, *sae.parents][:5]
    return next((folder for folder in folders if (folder / LOG).is_file()), None)


class LogWriter:
    """Writes the log of a run; ``sae`` of a line is the SAE's folder in it.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewind(self, steps: Mapping[str, int]) -> None:
        """Drop the lines of each SAE beyond its step in ``steps``, which will be written again.

        Of steps logged twice, the later line stays.

        Raises:
            ValueError: a line other than the last, which a kill may have cut, is not a record.
            OSError: the shortened file could not be written; the old one is untouched.
        """
        if not self.path.is_file():
            return
        kept = {
            (record["sae"], record["step"]): line
            for line, record in _parse(self.path)
            if record["step"] <= steps.get(record["sae"], record["step"])
        }
        new = "".join(line + "\n" for line in kept.values())
        if new != self.path.read_text(encoding="utf-8"):
            with atomic_write(self.path) as temporary:
                temporary.write_text(new, encoding="utf-8")

    def append(self, records: Sequence[Record]) -> None:
        """Add one line per record, in the order given, and let them reach the disk.

        Raises:
            OSError: the write failed; it names the file.
        """
        text = "".join(json.dumps(record) + "\n" for record in records)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self.path}: {error.strerror}") from error


class SharedLog:
    """The log of all processes of a run, which the first one writes.

    Args:
        path: of the file, which need not exist.
        ranks: the processes.
        folders: of all SAEs, in the order of their lines.
    """

    def __init__(self, path: Path, ranks: Ranks, folders: Sequence[str]) -> None:
        self._writer = LogWriter(path)
        self._ranks = ranks
        self._places = {folder: place for place, folder in enumerate(folders)}
        self.waiting: list[Record] = []
        """What this process says of its last step, as long as it may not be written."""

    def rewind(self, steps: Mapping[str, int]) -> None:
        """As `LogWriter.rewind`; ``steps`` are those of the SAEs of all processes."""
        if self._ranks.first:
            self._writer.rewind(steps)

    def write(self) -> list[Record]:
        """Write what waits in all processes; return it, on each of them.

        A record that says why an SAE failed is returned last, and not written.
        """
        found = [record for part in self._ranks.gather(self.waiting) for record in part]
        found.sort(key=lambda record: ("failure" in record, self._places[record["sae"]]))
        if self._ranks.first:
            self._append(found)
        self._ranks.any(True)  # all know that it is written
        self.waiting = []
        return found

    def rescue(self) -> None:
        """Write what waits in this process alone, after another one was lost.

        The first process may have written it just before. Then it is there twice.
        """
        self._append(self.waiting)

    def _append(self, records: Sequence[Record]) -> None:
        lines = [record for record in records if "failure" not in record]
        if lines:
            self._writer.append(lines)


def _parse(path: Path) -> list[tuple[str, Record]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: not valid JSON: {error}") from error
        entry = record if isinstance(record, dict) else {}
        wrong = [key for key, kind in _KINDS.items() if not isinstance(entry.get(key), kind)]
        if wrong:
            raise ValueError(
                f"{path}, line {number}: not a line of a training log, {wrong[0]!r} is "
                f"{entry.get(wrong[0])!r}; move the file away or repair it"
            )
        sae = entry.get("sae", f"{entry['hookpoint']}/seed{entry['seed']}")
        records.append((line, entry | {"sae": sae}))
    return records


def _by_number(name: str) -> list[str | int]:
    """Return what sorts seed9 before seed10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
