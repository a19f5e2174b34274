"""``RUN/log.jsonl``: what training showed, one line per logged step and SAE."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...common.files import atomic_write

LOG = "log.jsonl"

Record = dict[str, Any]


class LogWriter:
    """Writes the log of a run; ``sae`` of a line is the SAE's folder in it.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewind(self, steps: Mapping[str, int]) -> None:
        """Drop the lines of each SAE beyond its step in ``steps``, which will be written again.

        Raises:
            ValueError: a line other than the last, which a kill may have cut, is not a record.
            OSError: the shortened file could not be written; the old one is untouched.
        """
        if not self.path.is_file():
            return
        text = self.path.read_text()
        kept = [
            line
            for line, record in self._parse(text)
            if record["step"] <= steps.get(record["sae"], record["step"])
        ]
        new = "".join(line + "\n" for line in kept)
        if new != text:
            with atomic_write(self.path) as temporary:
                temporary.write_text(new)

    def append(self, records: list[Record]) -> None:
        """Add one line per record, in the order given, and let them reach the disk.

        Raises:
            OSError: the write failed; it names the file.
        """
        text = "".join(json.dumps(record) + "\n" for record in records)
        try:
            with self.path.open("a") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self.path}: {error.strerror}") from error

    def _parse(self, text: str) -> list[tuple[str, Record]]:
        lines = text.splitlines()
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                # Before there were several SAEs of one seed, lines named the seed only.
                sae = record.get("sae", f"{record['hookpoint']}/seed{record['seed']}")
                records.append((line, {"sae": sae, "step": record["step"]}))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number < len(lines):
                    raise ValueError(
                        f"{self.path}, line {number}: not a line of a training log; "
                        f"move the file away or repair it"
                    ) from error
        return records
