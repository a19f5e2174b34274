"""The corpus of a store: its tokens once, where each row is, and older stores' text again."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.activations import HarvestConfig, StoreWriter, harvest, open_activations
from twinsae.sae.contexts import Corpus, collect_contexts, load_corpus
from twinsae.sae.contexts.corpus import store_corpus

BOS = 26


def sequences(corpus: Corpus) -> list[list[int]]:
    return [part.tolist() for part in np.split(corpus.tokens, corpus.sequence_offsets[1:-1])]


def assert_same(one: Corpus, other: Corpus) -> None:
    for name in ("tokens", "sequence_offsets", "row_position"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.fixture
def config(model_folder: Path, tmp_path: Path) -> HarvestConfig:
    letters = np.random.default_rng(0).integers(97, 123, size=900, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    return HarvestConfig(
        str(model_folder), ("h.0.mlp",), str(tmp_path / "text.txt"), tokens=500, context=16,
        sequences=3, skip_first=True, shard_rows=96, dtype="float32",
    )  # fmt: skip


def test_each_row_is_where_the_store_says(write_store, tmp_path):
    store = write_store(tmp_path / "store")
    corpus = store_corpus(store, store.path)
    for row in range(store.rows):
        context, position = store.context_of(row), int(corpus.row_position[row])
        number = np.searchsorted(corpus.sequence_offsets, position, side="right") - 1
        begin, end = corpus.sequence_offsets[number : number + 2]
        assert corpus.tokens[begin:end].tolist() == context.token_ids.tolist()
        assert position - begin == context.position
    lengths = np.diff(corpus.sequence_offsets).tolist()
    # The sequence of one token, its BOS, has no row.
    assert lengths == [40, 2, 90, 33, *[12] * 20, 250, 3, 16, *[25] * 15]
    assert all(part[0] == BOS for part in sequences(corpus))
    assert corpus.vocabulary.text(np.array([7, 8, 27, 26])) == "hi?<eos>"
    facts = {name: corpus.facts[name] for name in ("tokens", "sequences", "text")}
    assert facts == {"tokens": sum(lengths), "sequences": len(lengths), "text": "letters"}


def test_a_harvest_s_text_comes_back(config, tmp_path):
    store = harvest(config, tmp_path / "out")["h.0.mlp"]
    corpus = store_corpus(store, store.path)
    text = Path(config.text).read_text()
    said = corpus.vocabulary.text(corpus.tokens)
    assert len(said) < len(text)  # what comes after the last row is left out
    assert text.startswith(said)


def test_it_is_written_once(write_store, tmp_path, monkeypatch):
    store = write_store(tmp_path / "store")
    first = store_corpus(store, store.path)
    with monkeypatch.context() as patched:
        patched.setattr("twinsae.sae.contexts.corpus.load_tokenizer", None)
        assert_same(store_corpus(store, store.path), first)
    (store.path / "corpus.npz").write_bytes(b"damaged")
    assert_same(store_corpus(store, store.path), first)
    other = store_corpus(write_store(tmp_path / "other", seed=9), store.path)
    assert other.tokens.tolist() != first.tokens.tolist()
    assert load_corpus(store.path).facts["sha256"] == other.facts["sha256"]


def without_tokens(store_folder: Path, meta_format: str) -> None:
    """Make of a store what an older version wrote."""
    meta = json.loads((store_folder / "meta.json").read_text()) | {"format": meta_format}
    for entry in meta["shards"]:
        file = store_folder / entry["file"]
        save_file({"activations": load_file(file)["activations"]}, file)
        entry["sha256"] = sha256(file.read_bytes()).hexdigest()
    (store_folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_without_tokens_is_tokenised_again(config, version, tmp_path, monkeypatch):
    store = harvest(config, tmp_path / "out")["h.0.mlp"]
    expected = store_corpus(store, tmp_path / "expected")
    without_tokens(store.path, f"twinsae-activations/{version}")
    monkeypatch.setattr("twinsae.sae.activations.language_model.load_model", None)
    old = open_activations(store.path)
    assert len(old.shard_rows) > 2
    assert_same(store_corpus(old, tmp_path / "again"), expected)
    Path(config.text).write_text("b" * 900)
    told = r"text '.*text\.txt' or the tokenizer is not the one .*\(shard_00000\.safetensors has"
    with pytest.raises(ValueError, match=told):
        store_corpus(old, tmp_path / "other")
    with pytest.raises(ValueError, match=r"holds activations without their tokens: expected a"):
        store_corpus(old.choose(np.arange(old.rows) > 3), tmp_path / "some")
    Path(config.text).unlink()
    with pytest.raises(FileNotFoundError, match=r"text\.txt' is no file or folder"):
        store_corpus(old, tmp_path / "gone")


def test_some_rows_of_a_store(write_store, tmp_path):
    store = write_store(tmp_path / "store")
    whole = store_corpus(store, tmp_path / "whole")
    keep = np.arange(store.rows) % 3 == 1
    some = store_corpus(store.choose(keep), tmp_path / "some")
    at = some.row_position
    assert some.tokens[at].tolist() == whole.tokens[whole.row_position[keep]].tolist()


def test_what_has_no_tokens_or_no_model_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 12), dtype=np.float32))
    save_sae(SAE(SAEConfig(12, 4, k=1), seed=0), tmp_path / "sae")
    told = r"a\.npy holds activations without their tokens: expected a store that `twinsae train`"
    with pytest.raises(ValueError, match=told):
        collect_contexts([tmp_path / "sae"], open_activations(tmp_path / "a.npy"))
    writer = StoreWriter(tmp_path / "own", {})
    writer.add(0, torch.ones(4, 12))
    own = writer.finish()
    with pytest.raises(ValueError, match=r"own holds activations without their tokens"):
        store_corpus(own, tmp_path)


def test_tokens_of_no_model_are_refused(write_store, tmp_path):
    store = write_store(tmp_path / "store")
    del store.meta["model"]
    with pytest.raises(ValueError, match=r"store does not say which model its tokens are of$"):
        store_corpus(store, store.path)


def test_a_folder_that_cannot_be_written_to(write_store, tmp_path):
    store = write_store(tmp_path / "store")
    (store.path / "corpus.npz").mkdir()  # the tests may run as root, whom no mode stops
    told = r"cannot write .*corpus\.npz: Is a directory; the option corpus puts the text into"
    with pytest.raises(OSError, match=told):
        store_corpus(store, store.path)
