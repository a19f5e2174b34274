"""`twinsae evaluate`: how good SAEs are, alone and within their language model."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ..common.files import StrPath, atomic_write
from ..common.progress import Progress
from ..sae.activations import HarvestConfig
from ..sae.activations.sources import BUILTIN, check_model, check_text
from ..sae.names import distinct_names
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae import SAE

_TOKENS_OF_TEXT = 20_000


@dataclass(frozen=True)
class Evaluate:
    """Measure SAEs, alone and within their language model.

    With --activations: the fraction of variance unexplained (FVU) over all tokens at once, active
    latents per token (L0), and dead and dense latents. With --model and --hookpoint, the same on
    the model's own activations, and the cross-entropy and KL with each SAE's reconstruction in
    place of the hookpoint's output, beside zeros and the mean in its place.

    The SAEs share one pass over the activations. Give text that they were not trained on.
    """

    example: ClassVar[str] = (
        "twinsae evaluate runs/gpt2/h.6.mlp --model openai-community/gpt2 \\\n"
        "    --hookpoint h.6.mlp --text heldout.txt --out runs/gpt2/evaluation.json"
    )

    saes: Annotated[tuple[StrPath, ...], Argument(paths.saes, metavar="SAE", positional=True)]
    """SAEs of any format (folder, file or name on the Hub), or folders with several below them."""
    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """Activations to measure on: a store, or a file or folder of arrays."""
    model: str | None = None
    """Hugging Face id or folder, a .gguf file, or smollm2-135m: the model to evaluate within."""
    hookpoint: str | None = None
    """With --model: the module whose output the SAEs read and replace, from the base model."""
    target: str | None = None
    """Of transcoders, what they reconstruct: a store, or with --model the hookpoint to replace."""
    text: str = BUILTIN
    """With --model: builtin (Python's documentation), a text file or folder, or hf:NAME."""
    text_column: str = "text"
    """Column, or key, that holds the text; without text in it, input_ids are taken."""
    text_split: str = "train"
    """Split of a data set."""
    tokens: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Tokens, the first of the store or text; by default all of a store, of a text 20_000."""
    context: int = 256
    """Tokens in a sequence, BOS included."""
    bos: Literal["auto", "yes", "no"] = "auto"
    """Whether sequences begin with BOS, which is not replaced; auto: if the tokenizer adds it."""
    sequences: int = 4
    """Sequences in one forward pass, whose logits are in memory twice."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the model; auto is bfloat16 where hardware makes it fast. SAEs compute in float32."""
    skip_first: bool | None = None
    """Whether the first token after BOS stays as it is; by default if it is an attention sink."""
    max_norm: float = 10.0
    """The FVU is shown with and without tokens whose norm is over so many times the median."""
    out: Annotated[Path | None, Argument(metavar="FILE")] = None
    """JSON file to write all numbers to."""

    def __post_init__(self) -> None:
        """Raise for what is wrong before anything is loaded."""
        if (self.activations is None) == (self.model is None):
            raise ValueError("expected either --activations or --model")
        if (self.model is None) != (self.hookpoint is None):
            raise ValueError("expected --model and --hookpoint, or neither")
        if not self.max_norm >= 1:
            raise ValueError(f"max_norm must be at least 1, got {self.max_norm}")
        if self.out is not None and self.out.is_dir():
            raise ValueError(f"--out: {self.out} is a folder, expected a file to write")
        distinct_names(self.places)
        if self.model is None:
            if self.target is not None:
                paths.existing(self.target)
            return
        config = self.harvest
        check_model(config.model)
        check_text(config.text)

    @property
    def places(self) -> list[StrPath]:
        """The paths or names of the single SAEs."""
        return paths.all_saes(self.saes)

    @property
    def harvest(self) -> HarvestConfig:
        """How the model of `--model` is used."""
        return HarvestConfig(
            model=self.model or "",
            hookpoint=(self.hookpoint or "",),
            text=self.text,
            text_column=self.text_column,
            text_split=self.text_split,
            tokens=self.tokens or _TOKENS_OF_TEXT,
            context=self.context,
            bos=self.bos,
            sequences=self.sequences,
            dtype=self.dtype,
            skip_first=self.skip_first,
        )

    def run(self, console: "Console") -> None:
        """Evaluate, print the tables, and write the file."""
        from .evaluation_tables import tables
        from .progress import open_progress

        if self.out is not None:  # what cannot be written is told before the work
            self.out.parent.mkdir(parents=True, exist_ok=True)
        with open_progress(console) as progress:
            saes, facts = self.open_saes(console, progress)
            source, found = self.evaluate(saes, progress)
        numbers = {name: facts[name] | found[name] for name in saes}
        document = source | {"max_norm": self.max_norm, "saes": numbers}
        for table in tables(document):
            console.print(table)
        if self.out is not None:
            write_json(document, self.out)
            console.print(f"result: {self.out}", soft_wrap=True)

    def open_saes(
        self, console: "Console", progress: Progress
    ) -> "tuple[dict[str, SAE], dict[str, dict[str, Any]]]":
        """Return the SAEs and what is known of them, by name; say what had to be assumed."""
        import torch

        from ..sae import SAE
        from ..sae.formats.registry import load
        from ..sae.hub import locate

        saes, facts = {}, {}
        device = "cuda" if torch.cuda.is_available() else "cpu"
        for name, place in zip(distinct_names(self.places), self.places, strict=True):
            located = locate(place, progress=progress)
            stored = load(located.path, **located.settings)
            for what in stored.assumed:
                console.print(f"{name}: {what}", soft_wrap=True, highlight=False, markup=False)
            saes[name] = SAE.from_stored(stored).to(device, torch.float32)
            config = stored.config
            sizes = {"num_latents": config.num_latents, "d_in": config.d_in}
            facts[name] = {"path": str(place), **located.facts, **sizes}
        plain = [name for name, sae in saes.items() if not sae.config.transcode]
        if self.target is None and len(plain) < len(saes):
            names = ", ".join(name for name in saes if name not in plain)
            console.print(
                f"{names}: no b_dec is subtracted from the input; if these are transcoders, give "
                "what they reconstruct with --target",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )
        return saes, facts

    def evaluate(
        self, saes: "dict[str, SAE]", progress: Progress
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Return what the SAEs were evaluated on, and the results by name."""
        from ..sae.activations import open_activations
        from ..sae.evaluation import evaluate_model, evaluate_store

        options: dict[str, Any] = {"max_norm": self.max_norm, "progress": progress}
        if self.activations is not None:
            store = open_activations(self.activations)
            target = None if self.target is None else open_activations(self.target)
            measured = evaluate_store(saes, store, target=target, tokens=self.tokens, **options)
            source = {"activations": str(store.path), "target": self.target}
            return source, {name: {"measured": asdict(measured[name])} for name in saes}
        result = evaluate_model(saes, self.harvest, target=self.target, **options)
        told = asdict(self.harvest) | {"hookpoint": self.hookpoint, "target": self.target}
        del told["shard_rows"]
        return {"model": told | result.facts}, {
            name: {
                "measured": asdict(result.measured[name]),
                "spliced": asdict(result.spliced[name]),
            }
            for name in saes
        }


def write_json(document: dict[str, Any], path: Path) -> None:
    """Write a document; numbers that are not finite, which JSON has not, become null."""
    with atomic_write(path) as temporary:
        text = json.dumps(_finite(document), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
