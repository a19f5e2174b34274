"""Text in sequences, as sparsify cuts it."""

import random

import datasets
import pytest
import transformers
from sparsify.data import chunk_and_tokenize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from twinsae.sae.activations.tokens import token_batches

pytestmark = pytest.mark.peers
CONTEXT = 16


@pytest.fixture
def texts() -> list[str]:
    letters = random.Random(0)
    words = ["".join(letters.choices("abcdefgh", k=letters.randint(1, 6))) for _ in range(300)]
    return [" ".join(letters.choices(words, k=letters.randint(1, 80))) for _ in range(30)]


@pytest.mark.parametrize("adds_bos", [False, True])
def test_sequences_are_those_of_sparsify(texts: list[str], adds_bos: bool) -> None:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<bos>", "<eos>"]
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    if adds_bos:
        bpe.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 0)]
        )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<bos>", eos_token="<eos>"
    )
    theirs = chunk_and_tokenize(
        datasets.Dataset.from_dict({"text": texts}),
        tokenizer,
        max_seq_len=CONTEXT,
        num_proc=1,
        load_from_cache_file=False,
    )["input_ids"]
    # Theirs begin with an end-of-sequence token, ours end with one: an empty text is that token.
    ours = [row for batch in token_batches(["", *texts], tokenizer, CONTEXT, 8) for row in batch]
    assert len(theirs) > 20
    assert [row.tolist() for row in theirs] == [row.tolist() for row in ours[: len(theirs)]]
    assert len(ours) <= len(theirs) + 1
    assert all((int(row[0]) == 0) == adds_bos for row in ours)
