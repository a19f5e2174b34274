"""Documents to token ids in rows of one length."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any

import torch
from torch import Tensor

_PIECE = re.compile(r".{1,65536}(?=\s|\Z)|.{65536}", re.DOTALL)


def token_batches(
    texts: Iterable[str], tokenizer: Any, context: int, batch_size: int
) -> Iterator[Tensor]:
    """Yield the token ids of ``texts``, in (batch_size, context) int64 tensors.

    Each document is followed by the tokenizer's end-of-sequence token (where it has none: the
    separator, else nothing), and the whole is cut in sequences of ``context`` tokens. The last full
    batch may have fewer rows; a rest of fewer than ``context`` tokens comes alone, as (1, rest),
    and a rest of one token, which has no context, is left out.
    """
    sequences = _sequences(texts, tokenizer, context)
    for _, group in groupby(sequences, key=len):
        while rows := list(islice(group, batch_size)):
            yield torch.tensor(rows, dtype=torch.int64)


def _sequences(texts: Iterable[str], tokenizer: Any, context: int) -> Iterator[list[int]]:
    separators = (tokenizer.eos_token_id, tokenizer.sep_token_id)
    separator = [token for token in separators if token is not None][:1]
    waiting: list[int] = []
    for ids in _tokenized(texts, tokenizer, separator):
        waiting += ids
        full = len(waiting) // context * context
        yield from (waiting[start : start + context] for start in range(0, full, context))
        del waiting[:full]
    if len(waiting) > 1:
        yield waiting


def _tokenized(texts: Iterable[str], tokenizer: Any, separator: list[int]) -> Iterator[list[int]]:
    for text in texts:
        # Long documents go in pieces, cut at white space: the memory of a tokenizer is many times
        # its input.
        for piece in _PIECE.findall(text):
            yield tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"]
        yield separator
