"""Token ids in sequences: BOS, padding, and what is stored of them."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from twinsae.sae.activations.shards import PADDING
from twinsae.sae.activations.tokens import bos_token, stored_positions, token_batches

MakeTokenizer = Callable[..., Any]
BOS, EOS, PAD, CLS = 26, 27, 28, 29


@pytest.fixture
def make_tokenizer() -> MakeTokenizer:
    """A tokenizer of single letters; ``begins`` is what it puts before a text itself."""

    def make(begins: str = "", **special: str) -> Any:
        ids = {"<bos>": BOS, "<eos>": EOS, "<pad>": PAD, "<cls>": CLS}
        letters = {chr(97 + i): i for i in range(26)} | ids
        tokenizer = Tokenizer(models.WordLevel(letters, "a"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        if begins:
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{begins} $A <eos>", special_tokens=[(begins, ids[begins]), ("<eos>", EOS)]
            )
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, eos_token="<eos>", **special
        )

    return make


@pytest.mark.parametrize(
    ("begins", "special", "found"),
    [
        ("<bos>", {"bos_token": "<bos>"}, {"auto": BOS, "yes": BOS, "no": None}),
        ("", {"bos_token": "<bos>"}, {"auto": None, "yes": BOS, "no": None}),
        ("<cls>", {"cls_token": "<cls>"}, {"auto": CLS, "yes": CLS, "no": None}),
        ("", {"bos_token": "<eos>"}, {"auto": None, "yes": EOS, "no": None}),  # as GPT-2's
        ("", {}, {"auto": None, "no": None}),
    ],
)
def test_the_tokenizer_is_asked_for_its_bos(
    make_tokenizer: MakeTokenizer, begins: str, special: dict, found: dict
) -> None:
    tokenizer = make_tokenizer(begins, **special)
    assert {bos: bos_token(tokenizer, bos) for bos in found} == found
    if not special:
        with pytest.raises(ValueError, match="has neither a BOS nor a CLS token"):
            bos_token(tokenizer, "yes")


@pytest.mark.parametrize("begins", ["", "<bos>"])
@pytest.mark.parametrize("context", [3, 8])
def test_every_sequence_of_text_begins_with_bos(
    make_tokenizer: MakeTokenizer, begins: str, context: int
) -> None:
    letters = random.Random(0)
    texts = ["".join(letters.choices("bcdefg", k=k)) for k in (1, 30, 4, 0, 17, 2, 9)]
    stream = [token for text in texts for token in [*(ord(c) - 97 for c in text), EOS]]
    start = [BOS] if begins else []
    step = context - len(start)
    cut = [[*start, *stream[at : at + step]] for at in range(0, len(stream), step)]
    expected = [row for row in cut if len(row) > 1 + len(start)]
    tokenizer = make_tokenizer(begins, bos_token="<bos>")
    batches = list(token_batches(texts, tokenizer, context, 4))
    rows = [row[row != PADDING].tolist() for batch in batches for row in batch]
    assert rows == expected
    assert {len(batch) for batch in batches[:-1]} == {4}
    stored = [stored_positions(batch, bos_token(tokenizer), False) for batch in batches]
    kept = [batch[mask] for batch, mask in zip(batches, stored, strict=True)]
    text = [token for row in expected for token in row[len(start) :]]
    assert torch.cat(kept).tolist() == text


def test_token_ids_are_used_as_they_are(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("<bos>", bos_token="<bos>", pad_token="<pad>")
    rows = [
        [BOS, 1, 2, 3],
        [1, 2],  # no BOS, and shorter
        [BOS, 4, 5, 6, 7, 8, 9],  # longer: cut
        [1, 2, 3, 4, 5],  # its rest has one token
        [PAD, 1, PAD, 2, PAD, PAD],  # padding at the ends is no text
        [PAD, PAD],
    ]
    (batch,) = token_batches(rows, tokenizer, 4, 99)
    expected = [
        [BOS, 1, 2, 3],
        [1, 2, -1, -1],
        [BOS, 4, 5, 6],
        [7, 8, 9, -1],
        [1, 2, 3, 4],
        [1, PAD, 2, -1],
    ]
    assert batch.tolist() == expected
    kept = stored_positions(batch, BOS, False).int().tolist()
    assert kept == [[0, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 1, 0], [1] * 4, [1, 1, 1, 0]]
    without = stored_positions(batch, BOS, True).int().tolist()
    assert without == [
        [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 1, 0],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="text: -100 is no token id"):
        list(token_batches([[1, -100]], tokenizer, 4, 9))


def test_padding_that_is_eos_stays(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(pad_token="<eos>")
    (batch,) = token_batches([[1, 2, EOS]], tokenizer, 4, 9)
    assert torch.equal(batch, torch.tensor([[1, 2, EOS]]))
