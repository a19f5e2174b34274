"""The tokens that a store's activations are of, once for all SAEs: in memory and in a file.

``corpus.npz`` holds T tokens in S sequences, one after another, and a vocabulary of V:

| array | shape and dtype | what it is |
|---|---|---|
| ``tokens`` | (T,) int32 | token ids |
| ``sequence_offsets`` | (S + 1,) int64 | where each sequence begins, and T |
| ``row_position`` | (rows,) int64 | the place in ``tokens`` of each row of the store |
| ``vocabulary_bytes`` | uint8 | the bytes of all tokens of the vocabulary, one after another |
| ``vocabulary_offsets`` | (V + 1,) int64 | token n is the bytes from offset n to offset n + 1 |

Tokens with no row, such as BOS, are there too, as the model saw them. Sequences with no row at all
are left out. Join the bytes of a run of tokens before you decode them: a character may be split.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.files import StrPath
from ...common.tables import load_table, save_arrays, table_facts
from ..activations import ActivationStore, Tokens
from ..activations.language_model import load_tokenizer
from ..activations.shards import PADDING
from ..activations.tokens_again import tokens_of
from .vocabulary import Vocabulary, vocabulary_of

FORMAT = "twinsae-corpus/1"
CORPUS = "corpus.npz"


@dataclass(frozen=True, eq=False)
class Corpus:
    """The text of a store's activations; see this module's table of arrays."""

    tokens: NDArray[np.int32]
    """(T,)"""
    sequence_offsets: NDArray[np.int64]
    """(S + 1,)"""
    row_position: NDArray[np.int64]
    """(rows,)"""
    vocabulary: Vocabulary
    facts: dict[str, Any] = field(default_factory=dict)
    """Of a corpus from a file: what its JSON file says."""

    def save(self, file: StrPath, facts: dict[str, Any]) -> None:
        """Write the corpus and its description, each atomically.

        Args:
            file: the .npz file; the description stands beside it, with the ending .json.
            facts: JSON values: which model, text and activations.

        Raises:
            OSError: a file could not be written.
        """
        arrays: dict[str, NDArray[Any]] = {
            "tokens": self.tokens,
            "sequence_offsets": self.sequence_offsets,
            "row_position": self.row_position,
            "vocabulary_bytes": self.vocabulary.bytes,
            "vocabulary_offsets": self.vocabulary.offsets,
        }
        counts = {"tokens": len(self.tokens), "sequences": len(self.sequence_offsets) - 1}
        save_arrays(Path(file), FORMAT, arrays, counts | facts)


def load_corpus(path: StrPath) -> Corpus:
    """Read a corpus that `twinsae contexts` wrote.

    Args:
        path: the .npz file, or the folder that holds ``corpus.npz``, such as a store.

    Raises:
        FileNotFoundError: there is none, or no description beside it.
        ValueError: a file is corrupt.
    """
    file = Path(path)
    arrays, facts = load_table(file / CORPUS if file.is_dir() else file, FORMAT)
    vocabulary = Vocabulary(arrays["vocabulary_bytes"], arrays["vocabulary_offsets"])
    names = ("tokens", "sequence_offsets", "row_position")
    return Corpus(**{name: arrays[name] for name in names}, vocabulary=vocabulary, facts=facts)


def store_corpus(store: ActivationStore, folder: Path) -> Corpus:
    """Return the corpus of a store from a folder, where it is written if it is not there yet.

    Raises:
        FileNotFoundError: the text or the tokenizer is not where it was.
        ValueError: the store has no tokens, does not say of which model they are, or a shard is
            damaged.
        OSError: the corpus could not be written.
    """
    file = folder / CORPUS
    try:
        if table_facts(file, FORMAT)["activations"]["sha256"] == store.fingerprint:
            return load_corpus(file)
    except (FileNotFoundError, ValueError):  # it is made anew
        pass
    parts = tokens_of(store)
    if "model" not in store.meta:
        raise ValueError(f"{store.path} does not say which model its tokens are of")
    model = store.meta["model"]
    corpus = Corpus(*join(parts), vocabulary_of(load_tokenizer(model)))
    activations = {"path": str(store.path), "sha256": store.fingerprint, "rows": store.rows}
    try:
        corpus.save(
            file, {"model": model, "text": store.meta.get("text"), "activations": activations}
        )
    except OSError as error:
        raise OSError(f"{error}; the option corpus puts the text into another folder") from error
    return load_corpus(file)


def join(
    parts: Iterable[Tokens],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens, sequence offsets and row positions of a store's files."""
    texts, lengths, positions = [], [], []
    begin = 0
    for part in parts:
        used, number = np.unique(part.sequence.numpy(), return_inverse=True)
        sequences = part.sequences.numpy()[used]
        real = sequences != PADDING
        length = real.sum(axis=1)
        starts = begin + np.cumsum(length) - length
        texts.append(sequences[real])
        lengths.append(length)
        positions.append(starts[number] + part.position.numpy())
        begin += int(length.sum())
    offsets = np.concatenate([[0], *lengths]).cumsum()
    return np.concatenate(texts), offsets, np.concatenate(positions)
