"""`twinsae match`: the exact matching of two dictionaries, with its proof."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from ..common.units import parse_bytes
from ..matching import match_files
from .progress import open_progress
from .tables import criteria_table, sides_table

Side = Literal["decoder", "encoder", "both"]


@dataclass(frozen=True)
class Match:
    """Match the latents of two SAEs one to one, exactly, and prove it.

    Folders may be ours, or those of sparsify, SAELens and dictionary_learning; a file must hold
    `W_dec` or `decoder.weight`, `encoder.weight` or `W_enc`. Writes OUT/<side>.npz (rows, cols,
    cosine, row_price, col_price) and OUT/summary.json.
    """

    a: Annotated[Positional[Path], arg(metavar="A")]
    """First SAE: a folder of any format, or one file (.safetensors, .npz, .npy, .pt)."""
    b: Annotated[Positional[Path], arg(metavar="B")]
    """Second SAE, likewise."""
    out: Path
    """Folder for the result."""
    side: Side = "both"
    """Which rows to match: the decoder's, the encoder's, or each on its own."""
    candidates: Literal["scan", "faiss"] = "scan"
    """Who finds each latent's best partners to begin with: the built-in scan or FAISS."""
    work_dir: Path | None = None
    """Folder for what is done so far: the same command goes on from there if it was stopped."""
    memory_limit: Annotated[str | None, arg(metavar="SIZE")] = None
    """Refuse to start if more is needed, such as 8GiB; None: three quarters of what is free."""
    verify: bool = False
    """Prove each result again by an independent pass; exit with an error if it does not hold."""

    def run(self, console: Console) -> None:
        """Match, write the files, and print what was found."""
        sides = ("decoder", "encoder") if self.side == "both" else (self.side,)
        limit = None if self.memory_limit is None else parse_bytes(self.memory_limit)
        with open_progress(console) as progress:
            summary = match_files(
                self.a,
                self.b,
                sides,
                self.out,
                candidates=self.candidates,
                work_dir=self.work_dir,
                memory_limit=limit,
                verify=self.verify,
                progress=progress,
            )
        console.print(sides_table(summary))
        console.print(criteria_table(summary))
        console.print(f"result: {self.out}", soft_wrap=True)
        for side, block in summary["sides"].items():
            if self.verify and not block["verified"]["valid"]:
                raise ValueError(f"{side}: not valid: {'; '.join(block['verified']['reasons'])}")
