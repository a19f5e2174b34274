"""A store of a language model's activations, with the tokens that they are of."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from twinsae.sae.activations import ActivationStore, StoreWriter, Tokens

D = 12  # the width of `model_folder`
BOS = 26


def _tokens(lengths: list[int], seed: int) -> Tokens:
    """Sequences that begin with a BOS, of letters; all letters but each fifth are stored."""
    generator = torch.Generator().manual_seed(seed)
    sequences = torch.randint(0, 26, (len(lengths), max(lengths)), generator=generator)
    sequences[:, 0] = BOS
    places = torch.arange(max(lengths))
    real = places < torch.tensor(lengths)[:, None]
    rows = (real & (places > 0) & (places % 5 != 4)).nonzero()
    sequences[~real] = -1
    return Tokens(sequences.int(), rows[:, 0].int(), rows[:, 1].int())


@pytest.fixture
def write_store(model_folder: Path) -> Callable[..., ActivationStore]:
    """Writes a store of two shards, with sequences of different lengths."""

    def write(folder: Path, seed: int = 0, model: str | None = None) -> ActivationStore:
        facts = {"model": model or str(model_folder), "text": "letters"}
        writer = StoreWriter(folder, facts)
        shards = ([40, 2, 1, 90, 33, *[12] * 20], [250, 3, 16, *[25] * 15])
        for number, lengths in enumerate(shards):
            tokens = _tokens(lengths, seed + number)
            rows = len(tokens.sequence)
            x = torch.randn(rows, D, generator=torch.Generator().manual_seed(seed + number))
            writer.add(number, x, tokens)
        return writer.finish()

    return write
