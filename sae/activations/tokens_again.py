"""The tokens of stores that older versions wrote without them: tokenised again, and checked."""

from collections.abc import Iterator
from itertools import islice

from torch import Tensor

from .config import HarvestConfig
from .filling import joined
from .groups import batches_of_shard, ids_digest
from .language_model import load_tokenizer
from .shards import Tokens
from .store import ActivationStore
from .text import documents
from .tokens import stored_positions, token_batches


def tokens_of(store: ActivationStore) -> Iterator[Tokens]:
    """Yield the sequences that the rows of each file of a store are of.

    Where a store has none, its text is read and tokenised again. The model is not loaded, only its
    tokenizer; that the tokens are those of the harvest is told by the SHA-256 of each shard's.

    Raises:
        FileNotFoundError: the text or the tokenizer is not where it was.
        ValueError: the store is not one of a language model; the text or the tokenizer is not the
            one that it was harvested with; a shard is damaged.
    """
    stored = list(store.tokens())
    found = [tokens for tokens in stored if tokens is not None]
    if found and len(found) == len(stored):
        return iter(found)
    entries = store.meta.get("shards", [])
    known = "settings" in store.meta and all("ids_sha256" in entry for entry in entries)
    if not known or store.shard_rows != [entry["rows"] for entry in entries]:
        raise ValueError(
            f"{store.path} holds activations without their tokens: expected a store that "
            "`twinsae train` or `harvest` wrote"
        )
    return _again(store)


def _again(store: ActivationStore) -> Iterator[Tokens]:
    settings = store.meta["settings"]
    config = HarvestConfig(**settings | {"hookpoint": (settings["hookpoint"],)})
    tokenizer = load_tokenizer(config.model)
    texts = documents(config.text, column=config.text_column, split=config.text_split)
    batches = token_batches(texts, tokenizer, config.context, config.sequences, config.bos)
    for entry in store.meta["shards"]:
        group = list(islice(batches, batches_of_shard(config)))
        if ids_digest(group) != entry["ids_sha256"]:
            raise ValueError(
                f"{store.path} holds activations without their tokens, and text {config.text!r} or "
                f"the tokenizer is not the one that they were harvested with ({entry['file']} has "
                "other tokens): harvest again"
            )
        bos, skip_first = store.meta["bos"], store.meta["skip_first"]
        yield joined(group, _places(group, bos, skip_first, entry["rows"]))


def _places(group: list[Tensor], bos: int | None, skip_first: bool, rows: int) -> list[Tensor]:
    """Return the sequence and the position of the first ``rows`` stored tokens, by batch."""
    places: list[Tensor] = []
    for input_ids in group:
        found = stored_positions(input_ids, bos, skip_first).nonzero()[:rows]
        rows -= len(found)
        places.append(found)
    return places
