"""The bytes of tokens, against what tokenizers themselves decode."""

from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from twinsae.sae.contexts import vocabulary_of

TEXTS = [
    "naïve café, 10 €\n\tfor 🙂🙃?",
    "   three  spaces",
    "¡¬ÿĀń␣",
    "日本語のテキスト",
    "\x00\x7f\xa0",
]


def wrapped(tokenizer: Tokenizer) -> Any:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def byte_level() -> Any:
    """All 256 bytes, and some words that training finds."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, show_progress=False, special_tokens=["<end>"]
    )
    tokenizer.train_from_iterator(["the naïve café, the 🙂 and the café"] * 3, trainer)
    return wrapped(tokenizer)


def sentence_piece() -> Any:
    """A few letters; all else is spelt in bytes."""
    spelt = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["<unk>", *spelt, "▁", *"abcdefghijklmnopqrstuvwxyz", "▁t", "▁th", "<0x>", "<end>"]
    merges = [("▁", "t"), ("▁t", "h")]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(numbers, merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps)
    return wrapped(tokenizer)


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
@pytest.mark.parametrize("text", TEXTS)
def test_joined_tokens_are_the_text(make, text):
    tokenizer = make()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary.text(np.array(ids)) == text
    assert len(vocabulary.offsets) == len(tokenizer) + 1


def test_half_a_character_is_no_character():
    tokenizer = byte_level()
    vocabulary = vocabulary_of(tokenizer)
    ids = np.array(tokenizer("€", add_special_tokens=False)["input_ids"])
    assert len(ids) == 3
    assert vocabulary.text(ids[:2]) == "�"
    assert vocabulary.text(ids) == "€"
    assert vocabulary.text(ids[:0]) == ""


def test_added_tokens_are_as_they_are_written():
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<| start |>", special=True), AddedToken("Ġ\n  ")])
    vocabulary = vocabulary_of(tokenizer)
    numbers = np.array([len(tokenizer) - 2, len(tokenizer) - 1])
    assert vocabulary.text(numbers) == "<| start |>Ġ\n  "
    assert vocabulary.text(np.array([tokenizer.eos_token_id])) == "<end>"


def test_continuations_of_words():
    words = {"[UNK]": 0, "play": 1, "##ing": 2, "##ed": 3, "we": 4, "<end>": 5}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    vocabulary = vocabulary_of(wrapped(tokenizer))
    assert vocabulary.text(np.array([4, 1, 2, 1, 3])) == " we playing played"


def test_numbers_that_there_are_not_stand_for_nothing():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 3, "<end>": 4}, "a"))
    vocabulary = vocabulary_of(wrapped(tokenizer))
    assert vocabulary.text(np.array([0, 1, 2, 3])) == "ab"
    assert vocabulary.offsets.tolist() == [0, 1, 1, 1, 2, 7]
