"""The pooled SAE: directions, fit, threshold and the whole command, against dense computations."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import match_all
from twinsae.matching.pool import pool
from twinsae.matching.pool.assemble import only
from twinsae.matching.pool.directions import Members, along, mean_directions, members
from twinsae.matching.pool.files import FORMAT
from twinsae.matching.pool.fit import fit_sums
from twinsae.matching.pool.threshold import threshold_for
from twinsae.matching.stable import stable_files
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import open_activations

D, L, ROWS = 16, 12, 800


def test_members_by_hand() -> None:
    # SAE 0 has latents in groups 0, 2, 1; SAE 1 in 0, 3; SAE 2 in 0, 2.
    seed, group = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 2, 1, 0, 3, 0, 2])
    size = np.bincount(group)[group]
    found = members(seed, group, size, 2)
    assert found.group.tolist() == [0, 2]
    assert found.size.tolist() == [3, 2]
    assert [place.tolist() for place in found.place] == [[0, 1, -1], [0, -1], [0, 1]]
    assert members(seed, group, size, 4).group.tolist() == []


def test_directions_are_means_of_unit_rows() -> None:
    a = torch.tensor([[2.0, 0.0], [0.0, 5.0], [3.0, 0.0]])
    b = torch.tensor([[0.0, 1.0], [-4.0, 0.0]])
    found = Members(np.array([0, 1]), np.array([2, 2]), [np.array([0, -1, 1]), np.array([0, 1])])
    half = np.sqrt(0.5)
    directions = mean_directions([a, b], found)
    np.testing.assert_allclose(directions, [[half, half], [0, 0]], atol=1e-7)
    sae = SAE(SAEConfig(2, 3, k=1, normalize_decoder=False), seed=0)
    sae.W_dec.data = a
    (lengths,) = along([sae], found._replace(place=found.place[:1]), directions)
    np.testing.assert_allclose(lengths, [2 * half, 0, 0], atol=1e-6)


def random_sae(seed: int, activation: str = "topk") -> SAE:
    sae = SAE(SAEConfig(D, L, k=4, activation=activation, normalize_decoder=False), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sae.named_parameters():
        scale = 0.1 if name == "threshold" else 1
        parameter.data = scale * torch.randn(parameter.shape, generator=generator).abs()
        if name in ("encoder.weight", "W_dec"):
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return sae


@pytest.mark.parametrize("activation", ["topk", "relu", "jumprelu"])
def test_scale_and_bias_are_those_of_least_squares(activation: str) -> None:
    saes = [random_sae(seed, activation) for seed in range(3)]
    place = [np.array([0, 1, 2, 3] + [-1] * 8), np.array([-1] * 8 + [3, 2, 1, 0]),
             np.array([1, -1, 0, -1, 3] + [-1] * 7)]  # fmt: skip
    found = Members(np.arange(4), np.array([3, 3, 2, 3]), place)
    decoder = mean_directions([sae.W_dec.detach() for sae in saes], found)
    encoder = mean_directions([sae.encoder.weight.detach() for sae in saes], found)
    x = torch.randn(300, D)
    lengths = along(saes, found, decoder)
    sums = fit_sums([x[:7], x[7:100], x[100:]], saes, found, encoder, lengths)
    scale, bias = sums.solve()
    for group in range(4):
        said = []
        for sae, own in zip(saes, place, strict=True):
            for latent in np.flatnonzero(own == group):
                top = sae.encode(x)
                dense = torch.zeros(len(x), L)
                dense.scatter_add_(1, top.indices.clamp(min=0), top.values)
                length = sae.W_dec[latent] @ decoder[group]
                value = (dense[:, latent] * length).detach().double().numpy()
                said.append(np.where(dense[:, latent].detach() != 0, value, np.nan))
        active = ~np.isnan(said).all(axis=0)
        t = np.nanmean(np.array(said)[:, active], axis=0)
        u = (x.double() @ encoder[group].double()).numpy()[active]
        assert sums.count[group] == active.sum() > 5
        expected = np.linalg.lstsq(np.column_stack([u, np.ones(len(u))]), t, rcond=None)[0]
        if expected[0] < 0:
            expected = [0, t.mean()]
        np.testing.assert_allclose([scale[group], bias[group]], expected, atol=1e-5)


def test_a_group_of_equal_members_does_what_they_do() -> None:
    sae = random_sae(5, "relu")
    found = Members(np.arange(L), np.full(L, 2), [np.arange(L), np.arange(L)])
    decoder = mean_directions([sae.W_dec, sae.W_dec], found)
    encoder = mean_directions([sae.encoder.weight, sae.encoder.weight], found)
    x = torch.randn(500, D)
    sums = fit_sums([x], [sae, sae], found, encoder, along([sae, sae], found, decoder))
    scale, bias = sums.solve()
    scores = x.double() @ encoder.double().T * torch.from_numpy(scale) + torch.from_numpy(bias)
    own = (x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias
    expected = own.clamp(min=0) * sae.W_dec.norm(dim=1)
    torch.testing.assert_close(scores.clamp(min=0).float(), expected.detach(), atol=2e-4, rtol=1e-4)


def test_a_group_that_is_never_active_has_scale_and_bias_0() -> None:
    sae = random_sae(1)
    sae.encoder.bias.data[0] = -1e6
    found = Members(np.array([0]), np.array([1]), [np.array([0] + [-1] * (L - 1))])
    direction = mean_directions([sae.W_dec], found)
    sums = fit_sums([torch.randn(50, D)], [sae], found, direction, along([sae], found, direction))
    assert sums.count.tolist() == [0]
    assert [values.tolist() for values in sums.solve()] == [[0], [0]]


@pytest.mark.parametrize("l0", [0.01, 1, 3.3, 20, 1000])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_the_threshold_gives_the_wanted_number(l0: float, spread: float) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(60, D, generator=generator)
    x[:5] *= spread  # few tokens have most of the large scores
    weight, bias = torch.randn(50, D, generator=generator), torch.randn(50, generator=generator)
    threshold, reached = threshold_for([x[:11], x[11:]], weight, bias, l0)
    scores = x @ weight.T + bias
    positive = int((scores > 0).sum())
    wanted = min(round(l0 * len(x)), positive)
    assert int((scores > threshold).sum()) == wanted
    assert reached == pytest.approx(wanted / len(x))
    assert threshold >= 0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three SAEs: eight latents are common to all, with noise; activations are sums of latents."""
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(20, D, generator=generator), dim=1)
    active = torch.rand(ROWS, 20, generator=generator) < 0.15
    strength = 1 + torch.rand(ROWS, 20, generator=generator)
    np.save(tmp_path / "x.npy", ((active * strength) @ features).numpy())
    for seed in range(3):
        own = torch.cat([features[:8], features[8 + 4 * seed : 12 + 4 * seed]])
        rows = own + 0.02 * torch.randn(L, D, generator=generator)
        sae = SAE(SAEConfig(D, L, k=3), seed=seed)
        sae.W_dec.data = torch.nn.functional.normalize(rows, dim=1)
        sae.encoder.weight.data = rows.clone()
        sae.encoder.bias.data = torch.full((L,), -0.3)
        save_sae(sae, tmp_path / f"seed{seed}")
    match_all([tmp_path / f"seed{seed}" for seed in range(3)], tmp_path / "matches")
    stable_files(tmp_path / "matches")
    return tmp_path


def dense_fvu(sae: SAE, x: torch.Tensor) -> float:
    scores = (x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias
    if sae.config.activation == "jumprelu":
        codes = torch.where(scores > sae.threshold.clamp(min=0), scores, 0)
    else:
        top = scores.clamp(min=0).topk(sae.config.k)
        codes = torch.zeros_like(scores).scatter(1, top.indices, top.values)
    error = x - codes @ sae.W_dec - sae.b_dec
    return float(error.square().sum() / (x - x.mean(0)).square().sum())


def test_the_command_writes_an_sae_that_others_read(run: Path, capsys) -> None:
    out = run / "pooled"
    command = ["pool", str(run / "matches"), "--store", str(run / "x.npy"), "--out", str(out)]
    assert main(command) == 0
    facts = json.loads((out / "pool.json").read_text())
    pooled = load_sae(out)
    assert pooled.config.num_latents == facts["latents"] == 8
    assert pooled.config.activation == "jumprelu"
    x = torch.from_numpy(np.load(run / "x.npy"))
    test = x[3 * ROWS // 4 :]
    with torch.no_grad():
        assert facts["fvu"] == pytest.approx(dense_fvu(pooled, test), rel=1e-4)
        # The decoder's bias leaves no mean error where it was fitted.
        residual = x[: ROWS // 2] - pooled(x[: ROWS // 2]).reconstruction
        torch.testing.assert_close(residual.mean(0), torch.zeros(D), atol=1e-5, rtol=0)
        for seed in facts["seeds"]:
            sae = load_sae(run / seed["name"])
            assert seed["fvu"] == pytest.approx(dense_fvu(sae, test), rel=1e-4)
            assert seed["members_latents"] == 8
            equal = replace(sae.config, k=max(1, round(facts["l0"])))
            sae.config = equal
            assert seed["equal_fvu"] == pytest.approx(dense_fvu(sae, test), rel=1e-4)
            # The mean of three noisy copies is no worse than one of them.
            assert facts["fvu"] < seed["members_fvu"]
    members_l0 = np.mean([seed["members_l0"] for seed in facts["seeds"]])
    assert facts["l0"] == pytest.approx(members_l0, rel=0.1)
    table = load_table(out / "pool.npz", FORMAT)
    assert (table.columns["size"] == 3).all()
    assert (table.columns["active"] > 0).all()
    printed = capsys.readouterr().out
    assert "pooled" in printed
    assert "seed2, its members alone" in printed


def test_groups_of_one_latent_are_the_saes_together(run: Path) -> None:
    store = open_activations(run / "x.npy")
    facts = pool(run / "matches", store, run / "all", at_least=1, l0=2.5)
    assert facts["latents"] + facts["groups_left_out"] == 8 + 3 * 4
    assert facts["l0"] == pytest.approx(2.5, abs=0.3)
    assert [seed["members_latents"] for seed in facts["seeds"]] == [L] * 3


def test_some_latents_of_an_sae_alone() -> None:
    sae = random_sae(2)
    part = only(sae, np.array([1, 5]))
    assert part.config.k == 2
    x = torch.randn(9, D)
    scores = ((x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias)[:, [1, 5]]
    expected = scores.clamp(min=0) @ sae.W_dec[[1, 5]] + sae.b_dec
    torch.testing.assert_close(part(x).reconstruction, expected)


def test_what_is_wrong_is_told_in_one_line(run: Path) -> None:
    store = open_activations(run / "x.npy")
    matches, out = run / "matches", run / "out"

    def refused(message: str, folder: Path = matches, of=store, **options) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            pool(folder, of, out, **options)
        assert not out.exists()

    refused("at_least: expected 1 to 3 SAEs, got 4", at_least=4)
    refused("at_least: expected 1 to 3 SAEs, got 0", at_least=0)
    refused("l0: expected a number above 0, got 0", l0=0)
    refused("l0: expected a number above 0, got nan", l0=float("nan"))
    refused("tokens: expected 8 or more, got 3", tokens=3)
    refused("seeds.json", folder=run)
    np.save(run / "narrow.npy", np.ones((40, D - 1), dtype=np.float32))
    refused("have width 15", of=open_activations(run / "narrow.npy"))
    np.save(run / "nothing.npy", np.zeros((40, D), dtype=np.float32))
    refused("no member is active", of=open_activations(run / "nothing.npy"))
    (matches / "stable.npz").rename(run / "kept.npz")
    refused("run `twinsae stable")
    (run / "kept.npz").rename(matches / "stable.npz")
    save_sae(SAE(SAEConfig(D, L, k=3), seed=9), run / "seed1")
    refused("seed1 has changed since it was matched")
