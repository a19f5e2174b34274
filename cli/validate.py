"""`twinsae validate`: checks the files of a match or of a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.packages import need
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Validate:
    """Check the files of a match or a report.

    Summaries and manifests are checked against their JSON Schemas, and arrays for what they must
    be. Prints one line a fault, and ends with code 1 if there is one. Whether a matching is the
    best is proved by `twinsae match --verify`, not here. Needs the package jsonschema.
    """

    example: ClassVar[str] = "twinsae validate runs/demo/matches"

    dir: Annotated[Path, Argument(paths.existing, metavar="DIR", positional=True)]
    """Folder that `twinsae match`, `twinsae match-all` or `twinsae report` wrote."""

    def __post_init__(self) -> None:
        need("twinsae validate", "jsonschema")

    def run(self, console: "Console") -> int:
        """Check, print, and return the exit code."""
        from ..matching.schema import validate
        from .progress import plain_lines

        say = plain_lines(console)
        found = validate(self.dir)
        for line in found.faults:
            say(line)
        for path in found.unseen:
            say(f"not checked, as it is not there any more: {path}")
        count = len(found.faults)
        verdict = f"{count:,} fault{'s' * (count > 1)}" if count else "valid"
        say(f"{', '.join(found.checked)}: {verdict}")
        return int(count > 0)
