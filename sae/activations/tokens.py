"""Documents to token ids in rows of one length."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from .shards import PADDING
from .text import Document

_PIECE = re.compile(r".{1,65536}(?=\s|\Z)|.{65536}", re.DOTALL)


def bos_token(tokenizer: Any, bos: str = "auto") -> int | None:
    """Return the token that every sequence begins with, or None.

    Args:
        tokenizer: of transformers; its BOS is ``bos_token``, or ``cls_token`` as BERT's has it.
        bos: ``"yes"``, ``"no"``, or ``"auto"``: if the tokenizer itself begins a text with it.

    Raises:
        ValueError: ``"yes"``, and the tokenizer has none.
    """
    own = [t for t in (tokenizer.bos_token_id, tokenizer.cls_token_id) if t is not None]
    if bos == "auto":
        first = tokenizer("x")["input_ids"][:1]
        return first[0] if first and first[0] in own else None
    if bos == "yes" and not own:
        raise ValueError("bos: the tokenizer has neither a BOS nor a CLS token")
    return own[0] if bos == "yes" else None


def token_batches(
    texts: Iterable[Document], tokenizer: Any, context: int, batch_size: int, bos: str = "auto"
) -> Iterator[Tensor]:
    """Yield the token ids of ``texts``, in (batch_size, context) int64 tensors.

    Each text is followed by the tokenizer's end-of-sequence token (where it has none: the
    separator, else nothing), and the whole is cut in sequences that with their BOS (`bos_token`)
    are ``context`` tokens long. So do sparsify and SAELens.

    A document of token ids is a sequence of its own, as it is: nothing is joined to it or put
    before it, because who made it chose where it begins. One longer than ``context`` is cut, and
    padding tokens at its ends are left out.

    The last batch may have fewer rows. A shorter sequence is filled up with `PADDING`, the longest
    of a batch not. A rest of one token, which has no context, is left out.

    Raises:
        ValueError: a document has a negative token id.
    """
    sequences = _sequences(texts, tokenizer, context, bos_token(tokenizer, bos))
    while rows := list(islice(sequences, batch_size)):
        longest = max(map(len, rows))
        filled = [row + [PADDING] * (longest - len(row)) for row in rows]
        yield torch.tensor(filled, dtype=torch.int64)


def stored_positions(input_ids: Tensor, bos: int | None, skip_first: bool) -> Tensor:
    """Return which tokens of a batch are stored, (B, T) bool.

    Args:
        input_ids: (B, T), as from `token_batches`.
        bos: the token that is not stored where a sequence begins with it.
        skip_first: whether the first token after that is left out, too.
    """
    stored = input_ids != PADDING
    after = first_of_text(input_ids, bos)
    stored &= torch.arange(input_ids.shape[1]) >= (after + int(skip_first))[:, None]
    return stored


def first_of_text(input_ids: Tensor, bos: int | None) -> Tensor:
    """Return the position of each sequence's first token that is no BOS, (B,) int64: 0 or 1."""
    return (input_ids[:, 0] == (PADDING if bos is None else bos)).long()


def _sequences(
    texts: Iterable[Document], tokenizer: Any, context: int, bos: int | None
) -> Iterator[list[int]]:
    separators = (tokenizer.eos_token_id, tokenizer.sep_token_id)
    separator = [token for token in separators if token is not None][:1]
    start = [] if bos is None else [bos]
    length = context - len(start)
    waiting: list[int] = []
    for text in texts:
        if isinstance(text, list):
            yield from _cut(_unpadded(text, tokenizer), context)
            continue
        for ids in _tokenized(text, tokenizer, separator):
            waiting += ids
            full = len(waiting) // length * length
            yield from ([*start, *waiting[at : at + length]] for at in range(0, full, length))
            del waiting[:full]
    if len(waiting) > 1:
        yield [*start, *waiting]


def _tokenized(text: str, tokenizer: Any, separator: list[int]) -> Iterator[list[int]]:
    # A long document goes in pieces, cut at white space: the memory of a tokenizer is many times
    # its input.
    for piece in _PIECE.findall(text):
        yield tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"]
    yield separator


def _unpadded(ids: list[int], tokenizer: Any) -> list[int]:
    if min(ids) < 0:
        raise ValueError(f"text: {min(ids)} is no token id")
    pad = tokenizer.pad_token_id
    # Many tokenizers pad with EOS, which may as well be the text's own.
    if pad is None or pad in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        return ids
    real = [place for place, token in enumerate(ids) if token != pad]
    return ids[real[0] : real[-1] + 1] if real else []


def _cut(ids: list[int], context: int) -> Iterator[list[int]]:
    for start in range(0, len(ids), context):
        if len(piece := ids[start : start + context]) > 1:
            yield piece
