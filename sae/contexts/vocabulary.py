"""The bytes that each token of a vocabulary stands for."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Vocabulary(NamedTuple):
    """V tokens as bytes, of which a run of several may make one character."""

    bytes: NDArray[np.uint8]
    """All tokens' bytes, one after another."""
    offsets: NDArray[np.int64]
    """(V + 1,): token n is ``bytes[offsets[n] : offsets[n + 1]]``."""

    def text(self, tokens: NDArray[Any]) -> str:
        """Return what a run of tokens says; bytes that are no whole character become "�"."""
        parts = (self.bytes[self.offsets[n] : self.offsets[n + 1]] for n in tokens)
        return b"".join(part.tobytes() for part in parts).decode("utf-8", errors="replace")


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Return the bytes of each token of a tokenizer of transformers.

    Three ways to write tokens are known: byte by byte with the letters of GPT-2, with "▁" for a
    space and "<0x41>" for a byte (SentencePiece), and with "##" before a word's continuation
    (BERT). Tokens that were added to a vocabulary, such as BOS, stand for their own text.

    Returns:
        Token ids from 0 to the largest; those that there are not stand for no bytes.
    """
    words: dict[str, int] = tokenizer.get_vocab()
    read = _reader(tokenizer)
    table = [b""] * (max(words.values()) + 1)
    for word, number in words.items():
        table[number] = read(word)
    for number, added in tokenizer.added_tokens_decoder.items():
        table[number] = added.content.encode()
    lengths = np.array([0, *map(len, table)], dtype=np.int64)
    return Vocabulary(np.frombuffer(b"".join(table), dtype=np.uint8), lengths.cumsum())


def _reader(tokenizer: Any) -> Callable[[str], bytes]:
    """Return what turns a token, as it is written in the vocabulary, into bytes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    kinds = _kinds(json.loads(decoder.__getstate__())) if decoder is not None else set()
    if "ByteLevel" in kinds:
        return _of_byte_level
    return _of_word_piece if "WordPiece" in kinds else _of_sentence_piece


def _kinds(decoder: dict[str, Any]) -> set[str]:
    inner: list[dict[str, Any]] = decoder.get("decoders", [])
    return {decoder["type"], *(kind for one in inner for kind in _kinds(one))}


def _byte_letters() -> dict[str, int]:
    """Return the byte for which each letter stands in vocabularies such as that of GPT-2.

    Printable bytes of Latin-1 stand for themselves, the others for letters from 256 on, in order
    (Radford et al. 2019, encoder.py).
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + place): byte for place, byte in enumerate(others)}


_LETTERS = _byte_letters()


def _of_byte_level(word: str) -> bytes:
    if all(letter in _LETTERS for letter in word):
        return bytes(_LETTERS[letter] for letter in word)
    return word.encode()


def _of_sentence_piece(word: str) -> bytes:
    if len(word) == 6 and word.startswith("<0x") and word.endswith(">"):
        return bytes([int(word[3:5], 16)])
    return word.replace("▁", " ").encode()


def _of_word_piece(word: str) -> bytes:
    return word.removeprefix("##").encode() if word.startswith("##") else f" {word}".encode()
