"""The test of a match from its folder: the tables, what they were made from, and refusals."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.cli.substitution_tables import tables
from twinsae.common.tables import load_table
from twinsae.matching import match_files
from twinsae.matching.criteria.partners import greedy_partners
from twinsae.matching.rows import StoredRows
from twinsae.matching.substitution.files import (
    CURVES,
    FORMAT,
    LATENTS,
    MODEL_CURVES,
    MODEL_LATENTS,
    substitute,
)
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.activations import HarvestConfig, open_activations

D, TOKENS = 8, 700
SIZES = {"a": 30, "b": 24}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two SAEs, their match, activations, and a second matching."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((TOKENS, D)).astype(np.float32))
    for seed, (name, size) in enumerate(SIZES.items()):
        save_sae(SAE(SAEConfig(D, size, k=3), seed=seed), tmp_path / name)
    match_files(tmp_path / "a", tmp_path / "b", ["decoder"], tmp_path / "match")
    np.savez(tmp_path / "other.npz", rows=np.arange(5), cols=np.arange(5)[::-1])
    return tmp_path


def dense_fvu(a: SAE, x: torch.Tensor, weight: torch.Tensor) -> float:
    with torch.no_grad():
        top = a.encode(x)
        values = torch.zeros(len(x), len(weight) + 1).scatter(
            1, torch.where(top.indices < 0, len(weight), top.indices), top.values
        )[:, :-1]
        error = values.double() @ weight + a.b_dec - x
    return float(error.square().sum() / (x - x.mean(dim=0)).double().square().sum())


def test_the_tables_say_what_the_saes_do(folder: Path):
    store = open_activations(folder / "x.npy")
    found = substitute(
        folder / "match", store, folder / "out", tokens=500, by_activations=folder / "other.npz"
    )
    table, facts = load_table(folder / "out" / LATENTS, FORMAT)
    a, b = (SAE.from_pretrained(folder / name) for name in SIZES)
    x = torch.from_numpy(np.load(folder / "x.npy")[:500])
    weight, other = a.W_dec.detach().double(), b.W_dec.detach().double()
    base = dense_fvu(a, x, weight)
    assert found["fvu"] == pytest.approx(base, rel=1e-6)
    assert found["tokens"] == 500
    assert facts["summary"] == found
    assert facts["inputs"]["a"]["num_latents"] == 30
    names = ("exact", "greedy", "max_cosine", "activations", "random")
    assert tuple(found["choices"]) == names
    greedy = greedy_partners(StoredRows(weight, "A"), StoredRows(other, "B"))
    np.testing.assert_array_equal(table["partner_greedy"], greedy)
    for name in names:
        partner = table[f"partner_{name}"]
        for latent in (0, 3, 17):
            new = weight.clone()
            j = partner[latent]
            new[latent] = other[j] * weight[latent].norm() / other[j].norm() if j >= 0 else 0
            wanted = dense_fvu(a, x, new) - base
            assert table[f"direction_{name}"][latent] == pytest.approx(wanted, abs=1e-6)
    gone = table["partner_exact"] < 0
    assert gone.sum() == 6
    assert np.isnan(table["cosine_exact"][gone]).all()
    np.testing.assert_array_equal(table["direction_exact"][gone], table["removed"][gone])
    np.testing.assert_allclose(
        table["activation_exact"][gone], table["removed"][gone], rtol=0, atol=1e-12
    )
    assert (table["partner_activations"] >= 0).sum() == 5
    avoided = 1 - table["direction_exact"].sum() / table["removed"].sum()
    assert found["choices"]["exact"]["avoided"]["direction"] == pytest.approx(avoided)
    curves, _ = load_table(folder / "out" / CURVES, FORMAT)
    assert len(curves["fvu"]) == 5 * 2 * 20
    last = (curves["choice"] == "exact") & (curves["kind"] == "direction") & (curves["share"] == 1)
    everything = weight.clone()
    for latent, j in enumerate(table["partner_exact"]):
        length = weight[latent].norm()
        everything[latent] = other[j] * length / other[j].norm() if j >= 0 else 0
    assert curves["fvu"][last].item() == pytest.approx(dense_fvu(a, x, everything), rel=1e-5)


def test_partners_that_are_the_same_latents_lose_nothing(folder: Path):
    match_files(folder / "a", folder / "a", ["decoder"], folder / "self")
    found = substitute(folder / "self", open_activations(folder / "x.npy"), folder / "self")
    for name in ("exact", "greedy", "max_cosine"):
        of = found["choices"][name]
        assert of["avoided"] == pytest.approx({"direction": 1, "activation": 1})
        assert of["area"] == pytest.approx({"direction": 1, "activation": 1})
    assert found["choices"]["random"]["area"]["direction"] < 0.9


def test_the_command_prints_tables(folder: Path, capsys: pytest.CaptureFixture[str]):
    words = ["substitute", str(folder / "match"), "--store", str(folder / "x.npy")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "700 tokens" in printed
    for name in ("exact", "greedy", "max_cosine", "random"):
        assert name in printed
    assert (folder / "match" / LATENTS).is_file()
    assert json.loads((folder / "match" / "substitution-curves.json").read_text())["rows"] == 160


def test_what_a_model_loses_is_written_and_printed(folder: Path, model_folder: Path):
    for seed, name in enumerate(SIZES):
        save_sae(SAE(SAEConfig(12, 40, k=3), seed=seed), folder / name)
    match_files(folder / "a", folder / "b", ["decoder"], folder / "match")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog" * 20)
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((50, 12)))
    config = HarvestConfig(
        str(model_folder), ("h.0.mlp",), str(folder / "text.txt"), tokens=90, context=16
    )
    store = open_activations(folder / "x.npy")
    found = substitute(folder / "match", store, folder / "out", model=config)
    model = found["model"]
    latents, facts = load_table(folder / "out" / MODEL_LATENTS, FORMAT)
    assert facts["inputs"]["a"]["num_latents"] == 40
    assert sum(of["latents"] for of in model["strata"]) == len(latents["latent"])
    own = latents["stratum"] == 1
    assert model["strata"][1]["kl_direction"] == pytest.approx(latents["kl_direction"][own].mean())
    assert model["strata"][1]["cosine_to"] == latents["cosine"][own].max()
    curves, _ = load_table(folder / "out" / MODEL_CURVES, FORMAT)
    for name in ("exact", "greedy", "max_cosine"):
        left = [1, *curves["quality_kl"][curves["choice"] == name]]
        middles = [(a + b) / 2 for a, b in pairwise(left)]
        assert model["areas"][name]["kl"] == pytest.approx(sum(middles) / 20)
    for number, table in enumerate(tables(found)):
        assert table.row_count == (4, 3, 10)[number]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"rows": [0]}, r"other\.npz is no matching"),
        ({"rows": [0, 0], "cols": [1, 2]}, "rows must be distinct whole numbers"),
        ({"rows": [0.0], "cols": [1]}, "rows must be distinct whole numbers"),
        ({"rows": [0, 1], "cols": [1]}, "cols must be distinct whole numbers"),
        ({"rows": [0], "cols": [24]}, "cols must be 0 to 23"),
        ({"rows": [-1], "cols": [0]}, "rows must be 0 to 29"),
    ],
)
def test_another_matching_must_be_one(folder: Path, arrays: dict, message: str):
    np.savez(folder / "other.npz", **{name: np.array(part) for name, part in arrays.items()})
    store = open_activations(folder / "x.npy")
    with pytest.raises(ValueError, match=message):
        substitute(folder / "match", store, folder, by_activations=folder / "other.npz")


def test_what_is_not_this_match_is_refused(folder: Path):
    store = open_activations(folder / "x.npy")
    save_sae(SAE(SAEConfig(D, 30, k=3), seed=9), folder / "a")
    with pytest.raises(ValueError, match="has changed since the match: match again"):
        substitute(folder / "match", store, folder)
    (folder / "match" / "decoder.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no decoder\.npz: match the decoders, too"):
        substitute(folder / "match", store, folder)
    (folder / "match" / "summary.json").write_text('{"format": "other/1", "inputs": {}}')
    with pytest.raises(ValueError, match="expected format 'twinsae-match/1', got 'other/1'"):
        substitute(folder / "match", store, folder)
    (folder / "match" / "summary.json").write_text("{")
    with pytest.raises(ValueError, match="is no summary of a match"):
        substitute(folder / "match", store, folder)


def test_activations_of_another_width_are_refused(folder: Path):
    np.save(folder / "wide.npy", np.ones((9, D + 1), dtype=np.float32))
    with pytest.raises(ValueError, match="A reads activations of width 8, but those of"):
        substitute(folder / "match", open_activations(folder / "wide.npy"), folder)
