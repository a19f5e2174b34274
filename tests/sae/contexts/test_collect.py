"""Contexts through a store and files: every architecture, any batch size, kills and changes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations.language_model import load_model
from twinsae.sae.contexts import (
    Contexts,
    Vocabulary,
    add_lenses,
    collect_contexts,
    load_contexts,
    load_corpus,
    logit_lens,
)
from twinsae.sae.contexts.assembly import contexts_of
from twinsae.sae.contexts.collector import Collector
from twinsae.sae.contexts.lens import unembedding_of
from twinsae.sae.passes import one_pass

D = 12

SHAPES = {
    "topk": SAEConfig(D, 31, k=5),
    "one": SAEConfig(D, 9, k=1),
    "relu": SAEConfig(D, 17, activation="relu"),
    "jumprelu": SAEConfig(D, 13, activation="jumprelu"),
    "gated": SAEConfig(D, 11, activation="gated"),
    "batch_topk": SAEConfig(D, 19, k=3, activation="batch_topk"),
    "groupmax": SAEConfig(D, 20, k=4, activation="groupmax"),
    "raw_topk": SAEConfig(D, 8, k=6, activation="raw_topk"),
    "abs_topk": SAEConfig(D, 12, k=3, activation="abs_topk"),
    "transcoder": SAEConfig(D, 10, k=2, transcode=True, d_out=4),
}
ARRAYS = [one.name for one in fields(Contexts) if one.name not in ("lens", "facts")]


@pytest.fixture
def store(write_store, tmp_path):
    return write_store(tmp_path / "store")


def save(name: str, folder: Path) -> Path:
    """An SAE whose latent 3 never fires on any token, where a low score is a reason not to."""
    sae = SAE(SHAPES[name], seed=7)
    with torch.no_grad():
        for parameter in (sae.threshold, sae.r_mag, sae.mag_bias):
            if parameter is not None:
                parameter.uniform_(0, 0.3, generator=torch.Generator().manual_seed(3))
        sae.encoder.bias[3] = -100
    save_sae(sae, folder / name)
    return folder / name


def digest(folder: Path) -> str:
    return sha256((folder / "sae.safetensors").read_bytes()).hexdigest()


def assert_same(one: Contexts, other: Contexts) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def at_once(folder: Path, store, rows: int) -> Contexts:
    """The contexts of the first rows, encoded in one piece."""
    sae, corpus = load_sae(folder).requires_grad_(False), load_corpus(store.path)
    positions, offsets = corpus.row_position[:rows], corpus.sequence_offsets
    collector = Collector(sae.config.num_latents, positions, offsets)
    codes = sae.encode(store.gather(np.arange(rows)))
    collector.add(codes.values, codes.indices)
    return contexts_of(collector)


def test_every_architecture_in_any_batches(store, tmp_path, monkeypatch):
    folders = [save(name, tmp_path / "saes") for name in SHAPES]
    for batch, rows in ((97, store.rows), (1, 150), (2048, store.rows)):
        monkeypatch.setattr(one_pass, "_BATCH", batch)
        out = tmp_path / f"out{batch}"
        found = collect_contexts(folders, store, out, tokens=rows, lens=False)
        assert list(found) == list(SHAPES)
        for folder in folders:
            contexts = found[folder.name]
            assert_same(contexts, at_once(folder, store, rows))
            assert_same(load_contexts(out / folder.name, digest(folder)), contexts)
            assert len(contexts.position) > 0
            if folder.name not in ("raw_topk", "abs_topk"):
                assert contexts.count[3] == 0


def test_windows_show_tokens_that_have_no_row(store, tmp_path):
    found = collect_contexts([save("relu", tmp_path)], store, lens=False)["relu"]
    corpus = load_corpus(store.path)
    rows = set(corpus.row_position.tolist())
    owner = np.repeat(np.arange(len(found.position)), np.diff(found.fire_offsets))
    begin = found.position - found.before
    fires = begin[owner] + found.fire_place
    assert set(fires.tolist()) <= rows
    assert not set(begin.tolist()) <= rows  # some windows begin with the BOS
    sequence = np.searchsorted(corpus.sequence_offsets, found.position, side="right")
    assert (begin >= corpus.sequence_offsets[sequence - 1]).all()
    assert (found.position + found.after <= corpus.sequence_offsets[sequence]).all()
    assert (found.fire_level[begin[owner] + found.fire_place == found.position[owner]] == 255).all()


def test_rows_in_another_order_give_the_same(store, tmp_path, monkeypatch):
    monkeypatch.setattr(one_pass, "_BATCH", 100)
    folder = save("topk", tmp_path)
    expected = collect_contexts([folder], store, tmp_path / "a", lens=False)["topk"]
    corpus = load_corpus(store.path)
    shuffled = np.random.default_rng(0).permutation(store.rows)
    gather = store.gather
    monkeypatch.setattr(store, "gather", lambda rows: gather(shuffled[rows]))
    mixed = {**vars(corpus), "row_position": corpus.row_position[shuffled]}
    monkeypatch.setattr(
        "twinsae.sae.contexts.collecting.store_corpus", lambda *_: type(corpus)(**mixed)
    )
    found = collect_contexts([folder], store, tmp_path / "b", lens=False)["topk"]
    assert_same(found, expected)


KILLED = """
import os, signal, sys
from twinsae.sae.activations import open_activations
from twinsae.sae.contexts import collect_contexts
from twinsae.sae.passes import one_pass

one_pass._BATCH = 100
def progress(phase, done, total, unit):
    if done == 400:
        os.kill(os.getpid(), signal.SIGKILL)

collect_contexts(
    sys.argv[2:], open_activations(sys.argv[1]), lens=False, save_seconds=0, progress=progress
)
"""


def test_a_killed_run_goes_on_to_the_same_bits(store, tmp_path):
    folders = [save(name, tmp_path / "saes") for name in ("topk", "relu")]
    expected = collect_contexts(folders, store, tmp_path / "whole", lens=False)
    command = [sys.executable, "-c", KILLED, str(store.path), str(folders[0])]
    killed = subprocess.run(command, env=os.environ | {"PYTHONSAFEPATH": "1"}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert np.load(folders[0] / "contexts.part.npz")["tokens"] == 400
    assert not (folders[0] / "contexts.npz").exists()
    told = []
    found = collect_contexts(folders, store, lens=False, progress=lambda *call: told.append(call))
    assert told[0] == ("contexts", 0, store.rows, "tokens")  # the second SAE begins
    for name in ("topk", "relu"):
        assert_same(found[name], expected[name])
    assert not list(tmp_path.glob("saes/*/contexts.part.npz"))
    told.clear()
    collect_contexts(folders, store, lens=False, progress=lambda *call: told.append(call))
    assert told == [("contexts", store.rows, store.rows, "tokens")]


def stopped_after_one_batch(_phase: str, done: int, _total: int, _unit: str) -> None:
    if done:
        raise KeyboardInterrupt


def test_another_store_or_sae_begins_anew(store, write_store, tmp_path, monkeypatch):
    monkeypatch.setattr(one_pass, "_BATCH", 100)
    folder = save("topk", tmp_path)
    other = write_store(tmp_path / "other", seed=5)
    with pytest.raises(KeyboardInterrupt):
        collect_contexts([folder], store, save_seconds=0, progress=stopped_after_one_batch)
    expected = collect_contexts([folder], other, tmp_path / "o", lens=False)["topk"]
    assert_same(collect_contexts([folder], other, lens=False)["topk"], expected)
    first = collect_contexts([folder], store, lens=False)["topk"]
    assert first.count.tolist() != expected.count.tolist()
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(cfg | {"k": 4}))
    fewer = collect_contexts([folder], store, lens=False)["topk"]
    assert fewer.count.sum() <= 4 * store.rows
    (folder / "contexts.part.npz").write_text("no state")
    with pytest.raises(ValueError, match=r"contexts\.part\.npz is corrupt .*delete it"):
        collect_contexts([folder], store, lens=False, tokens=9)
    with pytest.raises(ValueError, match=r"was collected with other weights .*run `twinsae con"):
        load_contexts(folder, "0" * 64)


def test_contexts_of_another_corpus_are_collected_anew(store, tmp_path):
    folder = save("topk", tmp_path)
    found = collect_contexts([folder], store, lens=False)["topk"]
    corpus = load_corpus(store.path)
    other = Vocabulary(corpus.vocabulary.bytes + np.uint8(1), corpus.vocabulary.offsets)
    facts = {name: corpus.facts[name] for name in ("model", "text", "activations")}
    replace(corpus, vocabulary=other).save(store.path / "corpus.npz", facts)
    again = collect_contexts([folder], store, lens=False)["topk"]
    assert again.facts["corpus"]["sha256"] == load_corpus(store.path).facts["sha256"]
    assert again.facts["corpus"]["sha256"] != found.facts["corpus"]["sha256"]
    assert_same(again, found)


def test_the_logit_lens_is_added_to_contexts_that_are_there(
    store, tmp_path, model_folder, monkeypatch
):
    monkeypatch.setattr(add_lenses, "_BLOCK", 20)
    folders = [save(name, tmp_path) for name in ("topk", "transcoder")]
    without = collect_contexts(folders, store, lens=False)
    assert without["topk"].lens is None
    said, told = [], []
    found = collect_contexts(
        folders, store, progress=lambda *call: told.append(call), say=said.append
    )
    assert told == [
        ("contexts", store.rows, store.rows, "tokens"),
        ("model", 0, 1, "model"),
        ("model", 1, 1, "model"),
        ("logit lens", 0, 31, "latents"),
        ("logit lens", 20, 31, "latents"),
        ("logit lens", 31, 31, "latents"),
    ]
    assert said == [
        "transcoder: no logit lens: its decoder has width 4, but the unembedding of "
        f"{str(model_folder)!r} has width 12"
    ]
    assert_same(found["topk"], without["topk"])
    assert found["transcoder"].lens is None
    matrix = unembedding_of(load_model(str(model_folder)))
    expected = logit_lens(load_sae(folders[0]).W_dec.detach(), matrix)
    for one, other in zip(found["topk"].lens, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    facts = {name: found["topk"].facts[name] for name in ("model", "before", "after", "logit_lens")}
    assert facts == {"model": str(model_folder), "before": 20, "after": 12, "logit_lens": True}
    assert collect_contexts(folders, store, lens=False)["topk"].lens is not None


def test_a_model_that_is_gone_is_told_and_nothing_else(write_store, model_folder, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for file in model_folder.iterdir():
        (copy / file.name).symlink_to(file)
    store = write_store(tmp_path / "store", model=str(copy))
    folder = save("one", tmp_path)
    collect_contexts([folder], store, lens=False)
    copy.rename(tmp_path / "moved")
    said = []
    found = collect_contexts([folder], store, say=said.append)
    assert said == [f"no logit lens: model {str(copy)!r}: there is no such file or folder"]
    assert len(found["one"].position) > 0
