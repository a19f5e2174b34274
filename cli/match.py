"""`twinsae match`: the exact matching of two dictionaries, with its proof."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ..common.devices import Device
from ..common.files import StrPath
from ..common.packages import need
from ..common.units import parse_bytes
from ..sae.formats.orientation import Orientation
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Match:
    """Match the latents of two SAEs exactly, and prove it.

    Each latent of the smaller SAE gets one of the other, so that the sum of cosines is the largest.

    SAEs may be in any layout of the manual's page Formats; which axis of a matrix counts latents is
    told by evidence in the files, and printed. Writes OUT/<side>.npz (rows, cols, cosine,
    row_price, col_price) and OUT/summary.json.

    With --by activations, latents are matched by their activations on the tokens of --store too,
    and where that agrees with the weights is printed: OUT/activations.npz, OUT/activations.json.

    With --map, the first SAE is of another model or layer: a map from its activations to the
    second's is learned from two stores of the same tokens, and its latents are mapped first.
    """

    example: ClassVar[str] = (
        "twinsae match runs/demo/layers.15.mlp/seed0 runs/demo/layers.15.mlp/seed1 \\\n"
        "    --out runs/match"
    )

    a: Annotated[StrPath, Argument(paths.sae, metavar="A", positional=True)]
    """First SAE: a folder of any format, one file (.safetensors, .npz, .npy, .pt), or a name on the
    Hub (hf:OWNER/REPO:PATH, saelens:RELEASE/ID)."""
    b: Annotated[StrPath, Argument(paths.sae, metavar="B", positional=True)]
    """Second SAE, likewise."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the result."""
    side: Literal["decoder", "encoder", "both"] = "both"
    """Which rows to match: the decoder's, the encoder's, or each on its own."""
    absolute: bool = False
    """Count cosines by their absolute values, so that opposite directions match, too."""
    by: Literal["weights", "activations"] = "weights"
    """What to match by: the weights alone, or activations beside them."""
    store: Annotated[tuple[Path, ...], Argument(paths.existing)] = ()
    """Stores of activations, or files or folders of arrays: with --by activations one that both
    SAEs read, with --map the first's and the second's."""
    measure: Literal["cosine", "pearson"] = "cosine"
    """With --by activations: the similarity of two latents' activations over all tokens."""
    tokens: Annotated[int | None, Argument(positive, metavar="N")] = None
    """With --by activations: take the first so many tokens of the store; by default all."""
    map: Literal["none", "procrustes", "affine"] = "none"
    """How the first SAE's space is mapped to the second's: a rotation with one scale, or least
    squares; by default it is the same."""
    candidates: Literal["scan", "faiss"] = "scan"
    """What finds each latent's best partners to begin with: the built-in scan or FAISS."""
    device: Device = "cpu"
    """Where the weights are scanned for pairs: the processor or a GPU."""
    work_dir: Path | None = None
    """Folder for what is done so far: the same command goes on from there if it was stopped."""
    memory_limit: Annotated[int | None, Argument(parse_bytes, metavar="SIZE")] = None
    """Refuse to start if more is needed, such as 8GiB; by default 75 % of what is free."""
    orientation: Orientation | None = None
    """How both files store encoder/decoder (L latents, D wide), where nothing in them tells it."""
    verify: bool = False
    """Prove each result again by an independent pass; exit with an error if it does not hold."""

    def __post_init__(self) -> None:
        """Raise for what is wrong before anything is loaded."""
        if self.candidates == "faiss":
            need("candidates: faiss", "faiss-cpu" if self.device == "cpu" else "faiss-gpu-cu12")
        needed = 2 if self.map != "none" else int(self.by == "activations")
        if self.map != "none" and (
            self.by == "activations" or self.absolute or self.work_dir or self.device != "cpu"
        ):
            raise ValueError(
                "map: not together with --by activations, --absolute, --work-dir or --device cuda"
            )
        if len(self.store) != needed:
            raise ValueError(
                f"store: expected {needed}, got {len(self.store)} (--by activations needs one, "
                "--map two)"
            )

    def run(self, console: "Console") -> None:
        """Match, write the files, and print what was found."""
        from .tables import criteria_table, map_table, sides_table

        summary = self.match(console)
        for letter, facts in summary["inputs"].items():
            told = ", ".join(facts["evidence"])
            console.print(
                f"{letter}: {facts['num_latents']:,} latents of width {facts['d_in']:,}, "
                f"{facts['family']}: {facts['layout']} by {told}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        if "map" in summary:
            console.print(map_table(summary["map"]))
        console.print(sides_table(summary))
        console.print(criteria_table(summary))
        if self.by == "activations":
            self.match_activations(self.store[0], console)
        console.print(f"result: {self.out}", soft_wrap=True)
        for side, block in summary["sides"].items():
            if self.verify and not block["verified"]["valid"]:
                raise ValueError(f"{side}: not valid: {'; '.join(block['verified']['reasons'])}")

    def match(self, console: "Console") -> dict[str, Any]:
        """Match by weights, through a map if one is asked for, and return the summary."""
        from ..matching import match_files
        from ..matching.mapping import match_mapped
        from .progress import open_progress

        sides = ("decoder", "encoder") if self.side == "both" else (self.side,)
        with open_progress(console) as progress:
            if self.map != "none":
                return match_mapped(
                    self.a, self.b, self.out, stores=self.store, kind=self.map, sides=sides,
                    memory_limit=self.memory_limit, verify=self.verify,
                    orientation=self.orientation, progress=progress,
                )  # fmt: skip
            return match_files(
                self.a,
                self.b,
                sides,
                self.out,
                absolute=self.absolute,
                candidates=self.candidates,
                device=self.device,
                work_dir=self.work_dir,
                memory_limit=self.memory_limit,
                verify=self.verify,
                orientation=self.orientation,
                progress=progress,
            )

    def match_activations(self, store: Path, console: "Console") -> None:
        """Match by activations, write the files, and print what was found."""
        from ..matching import match_activation_files
        from .activation_tables import agreement_table, reached_table
        from .progress import open_progress

        with open_progress(console) as progress:
            summary = match_activation_files(
                self.a,
                self.b,
                store,
                self.out,
                measure=self.measure,
                tokens=self.tokens,
                memory_limit=self.memory_limit,
                verify=self.verify,
                orientation=self.orientation,
                progress=progress,
            )
        for letter, facts in summary["inputs"].items():
            for what in facts["assumed"]:
                console.print(f"{letter}: {what}", highlight=False, markup=False, soft_wrap=True)
        console.print(reached_table(summary))
        for side, found in summary["agreement"].items():
            console.print(agreement_table(side, found))
        if self.verify and not summary["verified"]["valid"]:
            raise ValueError(f"activations: not valid: {'; '.join(summary['verified']['reasons'])}")
