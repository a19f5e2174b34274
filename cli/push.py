"""`twinsae push`: SAEs, or a report, to the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..sae.formats.paths import find_saes
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae.hub.card import Shared


@dataclass(frozen=True)
class Push:
    """Push SAEs or a report to the Hugging Face Hub.

    A new repository is private unless --public is given. SAEs go without their checkpoints, with a
    card that states what the run's folder tells: model, hookpoint, data, FVU, L0, and what was
    matched. A report becomes a Space that shows its page. What is pushed is listed first. Files
    that are there already are not sent again: repeat the command after an error.
    """

    example: ClassVar[str] = "twinsae push runs/gpt2/h.6.mlp --to me/gpt2-saes --license mit"

    folders: Annotated[tuple[Path, ...], Argument(paths.pushable, metavar="DIR", positional=True)]
    """An SAE's folder, folders with several below them such as RUN/<hookpoint>, or one report."""
    to: Annotated[str, Argument(metavar="OWNER/NAME")]
    """Repository to push to; it is made if there is none, and nothing in it is deleted."""
    public: bool = False
    """Make a new repository public, or push to one that is public. A private one stays so."""
    license: str | None = None
    """Name of a license for the card, as the Hub spells it, such as mit or apache-2.0."""
    model: str | None = None
    """Of SAEs: Hugging Face id of the language model, where the run's folder does not tell."""
    text: str | None = None
    """Of SAEs: what they were trained on, as in `twinsae train`, where the folder does not tell."""
    evaluation: Annotated[Path | None, Argument(paths.existing, metavar="FILE")] = None
    """Of SAEs: what `twinsae evaluate --out` wrote; by default RUN/evaluation.json."""
    matches: Annotated[Path | None, Argument(paths.matches)] = None
    """Of SAEs: folder of `twinsae match` or `match-all` for the card; by default RUN/matches."""
    new_card: bool = False
    """Replace a README.md that you or somebody else wrote, here or on the Hub."""

    def __post_init__(self) -> None:
        """Raise for folders that do not go together, and options that are of no use to a report."""
        reports = [folder for folder in self.folders if not find_saes(folder)]
        if reports and len(self.folders) > 1:
            raise ValueError(f"{reports[0]} is a report: push it alone, to a Space of its own")
        for name in ("model", "text", "evaluation", "matches"):
            if reports and getattr(self, name) is not None:
                raise ValueError(f"{name}: only for SAEs, and {reports[0]} is a report")

    def run(self, console: "Console") -> None:
        """Say what is going to be pushed, push it, and print where it is."""
        from .progress import plain_lines

        say = plain_lines(console)
        if find_saes(self.folders[0]):
            from ..sae.push import push_to_hub

            page = push_to_hub(
                self.folders,
                self.to,
                public=self.public,
                license=self.license,
                model=self.model,
                text=self.text,
                evaluation=self.evaluation,
                shared=self.shared(),
                new_card=self.new_card,
                say=say,
            )
        else:
            from ..matching.push import push_report_to_hub

            page = push_report_to_hub(
                self.folders[0],
                self.to,
                public=self.public,
                license=self.license,
                new_card=self.new_card,
                say=say,
            )
        say(f"pushed: {page}")

    def shared(self) -> "list[Shared]":
        """Return what was matched: in --matches, else in the folder ``matches`` of each run."""
        from ..matching.push import shared_latents
        from ..sae.training.log import find_run

        if self.matches is not None:
            return [shared_latents(self.matches)]
        saes = [sae for folder in self.folders for sae in find_saes(folder.absolute())]
        runs = dict.fromkeys(run for sae in saes if (run := find_run(sae)) is not None)
        folders = [run / "matches" for run in runs]
        return [shared_latents(folder) for folder in folders if paths.has_matches(folder)]
