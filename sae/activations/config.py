"""Which activations to collect; the command line shows this as its help, without torch."""

from dataclasses import dataclass
from typing import Literal

from .sources import BUILTIN, SMOLLM2

BLOCK_TOKENS = 131_072
"""Tokens that a stream shuffles together, unless told otherwise."""


@dataclass(frozen=True)
class HarvestConfig:
    """Which activations to collect: of what model, at what module, on what text."""

    model: str = SMOLLM2
    """Hugging Face id or folder, a .gguf file, or, each in a package of pip, smollm2-135m and
    all-minilm-l6-v2."""
    hookpoint: tuple[str, ...] = ("layers.15.mlp",)
    """Modules whose output is stored, named from the base model; 'layers.*.mlp' is all such."""
    text: str = BUILTIN
    """builtin (Python's documentation), a text file or folder, or hf:NAME for a data set."""
    text_column: str = "text"
    """Column, or key, that holds the text; without text in it, input_ids are taken."""
    text_split: str = "train"
    """Split of a data set."""
    tokens: int = 200_000
    """Activations to store, one a token; fewer if the text ends."""
    context: int = 256
    """Tokens in a sequence, BOS included: how much text the model sees at once."""
    bos: Literal["auto", "yes", "no"] = "auto"
    """Whether sequences begin with BOS, which is not stored; auto: if the tokenizer adds it."""
    sequences: int = 8
    """Sequences in one forward pass."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the model and the store; auto is bfloat16 (2 % off) where hardware makes it fast."""
    skip_first: bool | None = None
    """Whether to leave out the first token after BOS; by default if it is an attention sink."""
    shard_rows: int = 32_768
    """Activations in a file, about: what an interrupted harvest has to do again."""

    def __post_init__(self) -> None:
        """Raise for values out of range."""
        names: object = self.hookpoint  # a plain string would be read as its letters
        if not isinstance(names, tuple) or not names:
            raise TypeError(f"hookpoint: expected a tuple of names, got {names!r}")
        least = {"tokens": 1, "context": 2, "sequences": 1, "shard_rows": 1}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
