"""Firing, against dense codes in float64, and through files that a kill interrupts."""

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import open_activations
from twinsae.sae.firing import Firing, FiringSums, fire, known_firing, load_firing
from twinsae.sae.passes import one_pass

D = 6
ROWS = 4500  # more than two batches
COLUMNS = ("count", "mean_active", "max_active", "mean_all", "second_moment_all")

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


@pytest.fixture(scope="module")
def rows() -> Tensor:
    return torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1)) + 0.3


@pytest.fixture
def store(rows: Tensor, tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", rows.numpy())
    return tmp_path / "a.npy"


def make(name: str) -> SAE:
    """An SAE whose latents 0 and 3 never fire on any token."""
    sae = SAE(SHAPES[name], seed=7)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        sae.encoder.bias.uniform_(-0.2, 0.2, generator=generator)
        for parameter in (sae.threshold, sae.r_mag, sae.mag_bias):
            if parameter is not None:
                parameter.uniform_(0, 0.3, generator=generator)
        if name not in ("raw_topk", "abs_topk"):  # there a low score is no reason not to fire
            sae.encoder.bias[[0, 3]] = -100
    return sae


def dense_codes(sae: SAE, rows: Tensor) -> Tensor:
    """The codes (N, L) in float64, written out from each activation's definition."""
    weight, bias = sae.encoder.weight.double(), sae.encoder.bias.double()
    centre = 0 if sae.config.transcode else sae.b_dec.double()
    scores = (rows.double() - centre) @ weight.T
    gate = scores + bias
    kind, k = sae.config.activation, sae.config.k
    if kind == "gated":
        magnitude = sae.r_mag.double().exp() * scores + sae.mag_bias.double()
        return torch.where(gate > 0, torch.relu(magnitude), 0)
    if kind in ("jumprelu", "batch_topk"):
        return torch.where(gate > sae.threshold.double(), torch.relu(gate), 0)
    if kind == "relu":
        return torch.relu(gate)
    ranked, groups = (gate.abs() if kind == "abs_topk" else gate), (k if kind == "groupmax" else 1)
    blocks = ranked.reshape(len(rows), groups, -1)
    chosen = blocks.topk(1 if groups > 1 else k, dim=2).indices
    keep = torch.zeros_like(blocks, dtype=torch.bool).scatter(2, chosen, True).reshape(gate.shape)
    kept = torch.where(keep, gate, 0)
    return kept if kind in ("raw_topk", "abs_topk") else torch.relu(kept)


def assert_is(firing: Firing, codes: Tensor) -> None:
    """Compare a table with dense codes (N, L)."""
    active = codes != 0
    count = active.sum(0)
    assert firing.tokens == len(codes)
    np.testing.assert_array_equal(firing.count, count)
    mean = (codes.sum(0) / count).numpy()
    largest = codes.masked_fill(~active, -torch.inf).amax(0)
    largest = largest.masked_fill(count == 0, torch.nan)
    close = {"rtol": 2e-5, "atol": 2e-6}
    np.testing.assert_allclose(firing.mean_active, mean, **close)
    np.testing.assert_allclose(firing.max_active, largest, **close)
    np.testing.assert_allclose(firing.mean_all, codes.mean(0), **close)
    np.testing.assert_allclose(firing.second_moment_all, codes.square().mean(0), **close)
    np.testing.assert_allclose(firing.std_all, codes.std(0, correction=0), **close)
    np.testing.assert_array_equal(firing.frequency, count.double() / len(codes))


def assert_same(one: Firing, other: Firing) -> None:
    assert one.tokens == other.tokens
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def digest(folder: Path) -> str:
    return sha256((folder / "sae.safetensors").read_bytes()).hexdigest()


def test_every_architecture_is_counted_as_its_dense_codes(rows, store, tmp_path):
    folders = [tmp_path / "saes" / name for name in SHAPES]
    for folder in folders:
        save_sae(make(folder.name), folder)
    found = fire(folders, open_activations(store))
    assert list(found) == list(SHAPES)
    for folder in folders:
        sae = load_sae(folder).requires_grad_(False)
        codes = dense_codes(sae, rows)
        assert_is(found[folder.name], codes)
        assert_same(load_firing(folder, digest(folder)), found[folder.name])
        if folder.name not in ("raw_topk", "abs_topk"):
            assert found[folder.name].count[[0, 3]].tolist() == [0, 0]
            assert np.isnan(found[folder.name].max_active[[0, 3]]).all()
    assert found["one"].count.sum() <= ROWS
    assert (found["abs_topk"].mean_all < 0).any()


def test_a_hand_made_example():
    """Three tokens, four latents: latent 0 on all, 1 on one, 2 with a value of 0, 3 on none."""
    sums = FiringSums(4)
    sums.add(torch.tensor([[2.0, 0.0], [6.0, 3.0]]), torch.tensor([[0, -1], [0, 1]]))
    sums.add(torch.tensor([[0.0, 4.0]]), torch.tensor([[2, 0]]))
    sums.add(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int64))
    found = sums.result()
    nan = np.nan
    assert found.count.tolist() == [3, 1, 0, 0]
    np.testing.assert_array_equal(found.mean_active, [4, 3, nan, nan])
    np.testing.assert_array_equal(found.max_active, [6, 3, nan, nan])
    np.testing.assert_array_equal(found.mean_all, [4, 1, 0, 0])
    np.testing.assert_array_equal(found.second_moment_all, [56 / 3, 3, 0, 0])
    np.testing.assert_allclose(found.std_all, [np.sqrt(8 / 3), np.sqrt(2), 0, 0])
    sums.add(torch.zeros(5, 0), torch.zeros(5, 0, dtype=torch.int64))  # nothing is active
    assert sums.tokens == 8
    assert sums.result().mean_all[0] == 12 / 8


def test_the_batches_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(3, 100, 4, generator=generator, dtype=torch.float64)
    indices = torch.stack([torch.randperm(9, generator=generator)[:4] for _ in range(300)])
    indices = indices.reshape(3, 100, 4)
    two, single = FiringSums(9), FiringSums(9)
    two.add(values[:1], indices[:1])
    two.add(values[1:], indices[1:])
    for n in range(300):
        single.add(values.reshape(300, 4)[n : n + 1], indices.reshape(300, 4)[n : n + 1])
    assert_same(two.result(), single.result())


def test_values_that_are_not_finite_are_named():
    sums = FiringSums(4)
    sums.add(torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.int64))
    values = torch.tensor([[1.0, 2.0], [1.0, torch.inf]])
    with pytest.raises(ValueError, match=r"^the value of latent 3 on token 3 is NaN or infinite$"):
        sums.add(values, torch.tensor([[0, 1], [0, 3]]))
    with pytest.raises(ValueError, match=r"^there are no tokens to count$"):
        FiringSums(4).result()


KILLED = """
import os, signal, sys
from twinsae.sae.activations import open_activations
from twinsae.sae.firing import fire
from twinsae.sae.passes import one_pass

one_pass._BATCH = 700
def progress(phase, done, total, unit):
    if done == 2800:
        os.kill(os.getpid(), signal.SIGKILL)

fire(sys.argv[2:], open_activations(sys.argv[1]), save_seconds=0, progress=progress)
"""


def stopped_after_one_batch(_phase: str, done: int, _total: int, _unit: str) -> None:
    if done:
        raise KeyboardInterrupt


def test_a_killed_run_goes_on_to_the_same_numbers(store, tmp_path):
    names = ("topk", "relu", "gated")
    for name in names:
        save_sae(make(name), tmp_path / "saes" / name)
    folders = [tmp_path / "saes" / name for name in names]
    expected = fire(folders, open_activations(store), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fire(folders[:1], open_activations(store), save_seconds=0, progress=stopped_after_one_batch)
    assert np.load(folders[0] / "firing.part.npz")["tokens"] == one_pass._BATCH
    command = [sys.executable, "-c", KILLED, str(store), *map(str, folders[:2])]
    killed = subprocess.run(command, env=os.environ | {"PYTHONSAFEPATH": "1"}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("saes/*/firing.npz"))
    for folder in folders[:2]:
        assert np.load(folder / "firing.part.npz")["tokens"] == 2800
    told = []
    found = fire(folders, open_activations(store), progress=lambda *call: told.append(call))
    assert told[0] == ("fire", 0, ROWS, "tokens")  # the third SAE begins
    for name in names:
        assert_same(found[name], expected[name])
    assert not list(tmp_path.glob("saes/*/firing.part.npz"))
    told.clear()
    fire(folders, open_activations(store), progress=lambda *call: told.append(call))
    assert told == [("fire", ROWS, ROWS, "tokens")]


def test_two_processes_may_count_the_same_sae(store, tmp_path):
    folder = tmp_path / "s"
    save_sae(make("topk"), folder)

    def another(_phase: str, done: int, _total: int, _unit: str) -> None:
        if done == one_pass._BATCH:
            fire([folder], open_activations(store))

    found = fire([folder], open_activations(store), progress=another)["s"]
    assert_same(found, fire([folder], open_activations(store), tmp_path / "alone")["s"])
    assert not list(folder.glob("*.part.npz"))


def test_sums_of_other_activations_or_weights_are_not_gone_on_with(store, tmp_path):
    folder = tmp_path / "s"
    save_sae(make("topk"), folder)
    np.save(tmp_path / "b.npy", np.load(store) * 2)
    with pytest.raises(KeyboardInterrupt):
        fire([folder], open_activations(store), save_seconds=0, progress=stopped_after_one_batch)
    other = fire([folder], open_activations(tmp_path / "b.npy"), tmp_path / "o")["s"]
    assert_same(fire([folder], open_activations(tmp_path / "b.npy"))["s"], other)
    first = fire([folder], open_activations(store))["s"]
    assert first.facts["activations"]["path"] == str(store)
    assert (first.mean_all != other.mean_all).any()
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(cfg | {"k": 4}))
    assert fire([folder], open_activations(store))["s"].count.sum() == 4 * ROWS
    (folder / "firing.part.npz").write_text("no sums")
    with pytest.raises(ValueError, match=r"firing\.part\.npz is corrupt .*delete it to begin anew"):
        fire([folder], open_activations(store), tokens=9)


def test_the_first_tokens_alone(rows, store, tmp_path):
    save_sae(make("topk"), tmp_path / "s")
    found = fire([tmp_path / "s"], open_activations(store), tokens=2100)["s"]
    assert_is(found, dense_codes(make("topk").requires_grad_(False), rows[:2100]))
    assert found.facts["tokens"] == 2100
    assert found.facts["activations"]["rows"] == ROWS
    assert fire([tmp_path / "s"], open_activations(store), tokens=10**9)["s"].tokens == ROWS


def test_a_table_of_other_weights_is_refused(store, tmp_path):
    folder = tmp_path / "s"
    save_sae(make("topk"), folder)
    fire([folder], open_activations(store))
    old = digest(folder)
    known = known_firing(folder, old, 31)
    assert (known.source, known.tokens) == ("firing.npz", ROWS)
    with pytest.raises(ValueError, match=r": 31 firing counts for 30 latents$"):
        known_firing(folder, old, 30)
    save_sae(SAE(SHAPES["topk"], seed=8), folder)
    with pytest.raises(ValueError, match=r"firing\.npz was counted with other weights .*again$"):
        load_firing(folder, digest(folder))
    with pytest.raises(ValueError, match="was counted with other weights"):
        known_firing(folder, digest(folder), 31)
    again = fire([folder], open_activations(store))["s"]
    assert_same(load_firing(folder / "firing.npz", digest(folder)), again)


def test_what_does_not_fit_is_refused_in_one_line(store, tmp_path):
    save_sae(SAE(SAEConfig(7, 20, k=4), seed=0), tmp_path / "wide")
    with pytest.raises(ValueError, match=r"^wide reads activations of width 7, but those of .* 6$"):
        fire([tmp_path / "wide"], open_activations(store))
    save_sae(make("topk"), tmp_path / "s")
    np.save(tmp_path / "none.npy", np.ones((0, D), np.float32))
    with pytest.raises(ValueError, match=r"none\.npy: expected .*, found shape \(0, 6\)"):
        fire([tmp_path / "s"], open_activations(tmp_path / "none.npy"))
    with pytest.raises(ValueError, match=r"a\.npy: there are no activations$"):
        fire([tmp_path / "s"], open_activations(store), tokens=0)
    with pytest.raises(ValueError, match=r"^saes: expected one or more, got none$"):
        fire([], open_activations(store))
    file = tmp_path / "s" / "sae.safetensors"
    with pytest.raises(ValueError, match=r"^out: expected a folder for the tables, because .*sae"):
        fire([file], open_activations(store))
    assert fire([file], open_activations(store), tmp_path / "out")["sae"].tokens == ROWS
    assert (tmp_path / "out" / "sae" / "firing.json").is_file()
    broken = make("topk")
    broken.encoder.bias.data[2] = torch.nan
    save_sae(broken, tmp_path / "broken")
    with pytest.raises(ValueError, match=r"^broken: the value of latent 2 on token 0 is NaN"):
        fire([tmp_path / "broken"], open_activations(store))
