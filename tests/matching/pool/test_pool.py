"""The pool on planted SAEs, and each step of it against a dense computation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import match_all
from twinsae.matching.pool import pool
from twinsae.matching.pool.compare import choices
from twinsae.matching.pool.files import FORMAT, POOL
from twinsae.matching.pool.fitting import Affine, Sums, fit, members_of, own_affine
from twinsae.matching.pool.groups import Groups, groups_of, mean_directions, unit
from twinsae.matching.pool.threshold import score_of_rank, set_l0
from twinsae.matching.pool.tuned import cut, jumprelu, tune
from twinsae.matching.stable import stable_files
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import open_activations

D, SHARED, OWN, K = 24, 7, 4, 3


def sae_of(rows: np.ndarray, k: int = K, seed: int = 0, **settings: object) -> SAE:
    """Return an SAE with these rows, whose lengths differ but cancel out, and random biases."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.5, 2, (len(rows), 1))
    sae = SAE(SAEConfig(rows.shape[1], len(rows), k=k, normalize_decoder=False, **settings))
    with torch.no_grad():
        sae.W_dec.copy_(torch.from_numpy(rows * lengths))
        sae.encoder.weight.copy_(torch.from_numpy(rows / lengths))
        sae.encoder.bias.copy_(torch.from_numpy(rng.normal(0, 0.1, len(rows))))
        sae.b_dec.copy_(torch.from_numpy(rng.normal(0.2, 0.02, rows.shape[1])))
    return sae


def tokens_of(rows: np.ndarray, number: int, seed: int = 1) -> np.ndarray:
    """Return tokens that are sums of K rows with positive weights, and noise."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((number, len(rows)))
    for token in weights:
        token[rng.choice(len(rows), K, replace=False)] = rng.uniform(1, 3, K)
    return weights @ rows + rng.normal(0, 0.05, (number, rows.shape[1])) + 0.2


# --- groups and directions


def test_groups_of_the_example_of_stable() -> None:
    seed, latent, group = (np.array(a) for a in ([0, 1, 2, 2], [0, 0, 0, 1], [0, 0, 0, 1]))
    found = groups_of(seed, latent, group, 3, 3)
    assert found.group.tolist() == [0]
    assert found.members.tolist() == [[0, 0, 0]]
    every = groups_of(seed, latent, group, 3, 1)
    assert every.members.tolist() == [[0, 0, 0], [-1, -1, 1]]
    assert every.size.tolist() == [3, 1]


@pytest.mark.parametrize(("seeds", "at_least"), [(3, 0), (3, 4), (1, 1), (0, 0)])
def test_numbers_out_of_range_are_refused(seeds: int, at_least: int) -> None:
    empty = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match=r"expected (two SAEs|1 to the 3 SAEs)"):
        groups_of(empty, empty, empty, seeds, at_least)


def test_directions_are_means_of_unit_rows_and_keep_their_sign() -> None:
    groups = Groups(np.array([0, 1, 2]), np.array([[0, 1], [1, -1], [2, 0]]))
    a = np.array([[3.0, 0], [0, -2], [0, 0]])
    b = np.array([[0.0, 0], [0, 5]])
    found = mean_directions(groups, [a, b])
    root = 0.5**0.5
    np.testing.assert_allclose(found.units, [[root, root], [0, -1], [0, 0]])
    np.testing.assert_allclose(found.agreement, [root, 1, 0])


# --- least squares


def test_sums_give_numpys_least_squares() -> None:
    rng = np.random.default_rng(0)
    latent = rng.integers(0, 5, 200)
    p = rng.normal(3, 2, 200)
    y = 0.7 * p + rng.normal(0, 1, 200) - latent
    sums = Sums(6)
    for part in np.array_split(np.arange(200), 3):
        sums.add(latent[part], p[part], y[part])
    found = sums.fit(Affine(np.full(6, 9.0), np.full(6, 8.0)))
    for own in range(5):
        of = latent == own
        design = np.stack([p[of], np.ones(of.sum())], axis=1)
        expected = np.linalg.lstsq(design, y[of], rcond=None)[0]
        np.testing.assert_allclose([found.scale[own], found.bias[own]], expected, rtol=1e-9)
    assert (found.scale[5], found.bias[5]) == (9, 8)  # never active: the members' own
    assert sums.tokens.tolist() == [*np.bincount(latent), 0]


@pytest.mark.parametrize(
    ("p", "y"),
    [([2.0], [7.0]), ([2.0, 2, 2], [7.0, 6, 8]), ([1.0, 3], [8.0, 6])],
    ids=["one token", "no spread", "a falling line"],
)
def test_a_scale_that_cannot_be_fitted_is_the_members_own(p: list[float], y: list[float]) -> None:
    sums = Sums(1)
    sums.add(np.zeros(len(p), dtype=np.int64), np.array(p), np.array(y))
    found = sums.fit(Affine(np.array([0.5]), np.array([-1.0])))
    assert found.scale.tolist() == [0.5]
    assert found.bias.tolist() == [7 - 0.5 * 2]


def dense(sae: SAE, x: torch.Tensor) -> np.ndarray:
    """Return an SAE's activations, (N, L)."""
    top = sae.encode(x)
    found = torch.zeros(len(x), sae.config.num_latents + 1)
    found.scatter_(1, top.indices.where(top.indices >= 0, sae.config.num_latents), top.values)
    return found[:, :-1].detach().double().numpy()


@pytest.mark.parametrize("transcode", [False, True])
def test_scale_and_bias_against_a_dense_computation(transcode: bool) -> None:
    rng = np.random.default_rng(3)
    rows = unit(rng.normal(size=(SHARED, D)))
    rows[4] = 0
    saes = [
        sae_of(unit(rows + rng.normal(0, 0.05, rows.shape)) * (rows != 0), seed=s,
               transcode=transcode)
        for s in range(3)
    ]  # fmt: skip
    x = torch.from_numpy(tokens_of(rows, 61)).float()
    members = np.stack([np.arange(SHARED)] * 3, axis=1)
    members[5, 1] = members[6, 0] = members[6, 2] = -1
    groups = Groups(np.arange(SHARED), members)
    decoder, encoder = (
        mean_directions(groups, [w.detach().numpy() for w in weights]).units
        for weights in ([s.W_dec for s in saes], [s.encoder.weight for s in saes])
    )
    parts = members_of(saes, groups, decoder)
    found = fit(parts, groups, encoder, x.split(20))
    acts = [dense(sae, x) for sae in saes]
    own = own_affine(parts, groups)
    for g in range(SHARED):
        has = [s for s in range(3) if members[g, s] >= 0]
        along = np.stack(
            [acts[s][:, g] * (saes[s].W_dec[g].detach().double().numpy() @ decoder[g]) for s in has]
        )
        active = np.stack([acts[s][:, g] > 0 for s in has])
        on = active.any(axis=0)
        assert found.tokens[g] == on.sum()
        if g == 4:
            assert found.affine.scale[g] == own.scale[g] == 0
            continue
        y = along[:, on].sum(axis=0) / active[:, on].sum(axis=0)
        p = x.double().numpy()[on] @ encoder[g]
        design = np.stack([p, np.ones(len(p))], axis=1)
        expected = np.linalg.lstsq(design, y, rcond=None)[0]
        got = found.affine.scale[g], found.affine.bias[g]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    for s, sae in enumerate(saes):
        lengths = sae.W_dec.detach().double().norm(dim=1).numpy()
        np.testing.assert_allclose(found.energy[s], ((acts[s] * lengths) ** 2).sum(axis=0))
        counted = (acts[s][:, members[:, s] >= 0] > 0).sum() / len(x)
        assert found.l0[s] == pytest.approx(counted)


@pytest.mark.parametrize("transcode", [False, True])
def test_one_member_that_is_always_active_is_found_again(transcode: bool) -> None:
    rows = unit(np.random.default_rng(5).normal(size=(6, D)))
    sae = sae_of(rows, k=6, seed=2, transcode=transcode)
    with torch.no_grad():
        sae.encoder.bias += 50.0
    groups = Groups(np.arange(6), np.stack([np.arange(6), np.full(6, -1)], axis=1))
    parts = members_of([sae, sae], groups, rows)
    x = torch.randn(40, D, generator=torch.Generator().manual_seed(0))
    found, own = fit(parts, groups, rows, [x]), own_affine(parts, groups)
    np.testing.assert_allclose(found.affine.scale, own.scale, rtol=1e-4)
    np.testing.assert_allclose(found.affine.bias, own.bias, rtol=1e-4)


# --- threshold


@pytest.mark.parametrize("rank", [0, 1, 17, 250, 498, 499, 500, 10**6])
def test_the_score_of_a_rank_is_that_of_a_sort(rank: int) -> None:
    rng = np.random.default_rng(rank)
    scores = (rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000)).astype(np.float32)
    scores[:20] = np.float32(1e-42) * np.arange(1, 21)  # subnormal numbers
    positive = scores[scores > 0]

    def above(floor: float):
        for part in np.array_split(scores, 7):
            yield part[part > np.float32(floor)]

    ordered = np.sort(positive)[::-1]
    expected = float(ordered[rank]) if rank < len(ordered) else 0.0
    assert score_of_rank(above, rank) == expected


def test_ties_and_no_scores() -> None:
    same = np.array([2.0, 2.0, 1.0, 2.0], dtype=np.float32)
    assert [score_of_rank(lambda f: [same[same > f]], r) for r in range(5)] == [2, 2, 2, 1, 0]
    assert score_of_rank(lambda _: [], 0) == 0


def of_scores(number: int, seed: int = 0) -> tuple[SAE, torch.Tensor]:
    rng = np.random.default_rng(seed)
    sae = jumprelu(rng.normal(size=(number, D)), rng.normal(size=number), unit(
        rng.normal(size=(number, D))))  # fmt: skip
    return sae, torch.from_numpy(rng.normal(size=(53, D))).float()


@pytest.mark.parametrize("l0", [0.001, 0.5, 3.0, 3.14, 8.0])
def test_the_threshold_gives_the_l0(l0: float) -> None:
    sae, x = of_scores(31)
    set_l0(sae, lambda: x.split(10), l0)
    active = (sae.encode(x).values > 0).sum()
    assert active == round(l0 * 53)
    assert (sae.threshold == sae.threshold[0]).all()
    scores = (x @ sae.encoder.weight.T + sae.encoder.bias).flatten().sort(descending=True).values
    assert float(sae.threshold[0]) == pytest.approx(float(scores[round(l0 * 53)]), rel=1e-5)


def test_an_l0_out_of_reach_leaves_all_positive_scores() -> None:
    sae, x = of_scores(5)
    set_l0(sae, lambda: [x], 5.0)
    assert float(sae.threshold[0]) == 0
    positive = (x @ sae.encoder.weight.T + sae.encoder.bias > 0).sum()
    assert (sae.encode(x).values > 0).sum() == positive < 5 * 53


# --- SAEs with one threshold


def test_the_decoder_bias_is_that_of_least_squares() -> None:
    sae, x = of_scores(31)
    fitting, held = x[:30], x[30:]
    tune(sae, lambda: fitting.split(7), lambda: held.split(7), 4.0)
    acts = dense(sae, fitting)
    left = fitting.double().numpy() - acts @ sae.W_dec.detach().double().numpy()
    np.testing.assert_allclose(sae.b_dec.detach().numpy(), left.mean(axis=0), atol=1e-5)
    assert (sae.encode(held).values > 0).sum() == 4 * 23


@pytest.mark.parametrize("activation", ["topk", "batch_topk", "relu", "gated", "jumprelu"])
@pytest.mark.parametrize("transcode", [False, True])
def test_a_cut_has_the_scores_and_rows_of_its_latents(activation: str, transcode: bool) -> None:
    rows = unit(np.random.default_rng(0).normal(size=(9, D)))
    sae = sae_of(rows, activation=activation, transcode=transcode)
    with torch.no_grad():
        for parameter in (sae.r_mag, sae.mag_bias):
            if parameter is not None:
                parameter.copy_(torch.linspace(-0.3, 0.4, 9))
        # With a bias this large, all latents are active in all that have thresholds.
        (sae.encoder.bias if sae.mag_bias is None else sae.mag_bias).add_(20)
        sae.encoder.bias.add_(20 if sae.mag_bias is not None else 0)
    if sae.config.k:
        sae = SAE.from_stored(sae.stored()._replace(
            config=SAEConfig(D, 9, k=9, activation=activation, transcode=transcode,
                             normalize_decoder=False)))  # fmt: skip
    latents = np.array([1, 4, 8])
    x = torch.randn(11, D, generator=torch.Generator().manual_seed(0))
    made = cut(sae, latents)
    lengths = sae.W_dec.detach().norm(dim=1).double().numpy()[latents]
    np.testing.assert_allclose(dense(made, x), dense(sae, x)[:, latents] * lengths, rtol=1e-4)
    np.testing.assert_allclose(made.W_dec.norm(dim=1), 1, rtol=1e-6)


def test_what_is_kept_of_a_seed() -> None:
    energy = np.array([1.0, 5, 0, 3, 5])
    kept = {how: which.tolist() for how, which in choices(np.array([3, -1, 1]), energy)}
    assert kept == {"all": [0, 1, 2, 3, 4], "members": [1, 3], "largest": [1, 3, 4]}
    assert [how for how, _ in choices(np.array([-1]), energy)] == ["all", "largest"]


# --- the whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three SAEs that share their first latents, turned a little, in another order, matched."""
    place = tmp_path_factory.mktemp("pool")
    rng = np.random.default_rng(0)
    shared = np.linalg.qr(rng.normal(size=(D, SHARED)))[0].T  # orthogonal rows of length 1
    for seed in range(3):
        near = unit(shared + rng.normal(0, 0.05, shared.shape))
        rows = np.concatenate([near, unit(rng.normal(size=(OWN, D)))])
        save_sae(sae_of(rows[rng.permutation(len(rows))], seed=seed), place / f"seed{seed}")
    match_all([place / f"seed{s}" for s in range(3)], place / "matches")
    stable_files(place / "matches")
    np.save(place / "x.npy", tokens_of(shared, 201))
    np.save(place / "narrow.npy", np.ones((9, D - 1)))
    np.save(place / "same.npy", np.ones((9, D)))
    np.save(place / "one.npy", np.ones((1, D)))
    return place


def test_planted_latents_are_pooled(folder: Path, tmp_path: Path) -> None:
    store = open_activations(folder / "x.npy")
    found = pool(folder / "matches", store, tmp_path / "out")
    assert found["latents"] == SHARED
    assert found["tokens"] == {"fit": 100, "held_out": 101}
    assert found["l0"] == pytest.approx(K, abs=0.1)
    sae = load_sae(tmp_path / "out")
    assert sae.config.activation == "jumprelu"
    x = torch.from_numpy(np.load(folder / "x.npy")).float()[100:]
    out = sae(x)
    left = (out.reconstruction - x).detach().double()
    fvu = left.square().sum() / (x - x.mean(dim=0)).double().square().sum()
    first = found["compared"][0]
    assert first["fvu"] == pytest.approx(float(fvu), rel=1e-4)
    assert first["l0"] == pytest.approx(float((out.values > 0).sum()) / 101)
    assert first["l0"] == pytest.approx(found["l0"], abs=0.01)
    assert first["fvu"] < 0.1
    # The pooled directions average the seeds' own noise away.
    for row in found["compared"]:
        assert row["as"] == "pool" or row["fvu"] > first["fvu"]
        # One place is at the threshold, and its score's rounding decides.
        assert row["as"] == "as_trained" or row["l0"] == pytest.approx(first["l0"], abs=1.01 / 101)
    names = [(row["sae"], row["as"]) for row in found["compared"][1:5]]
    assert names == [("seed0", how) for how in ("as_trained", "all", "members", "largest")]


def test_the_table_says_what_each_latent_is_made_of(folder: Path, tmp_path: Path) -> None:
    store = open_activations(folder / "x.npy")
    pool(folder / "matches", store, tmp_path / "out")
    table, facts = load_table(tmp_path / "out" / POOL, FORMAT)
    sae = load_sae(tmp_path / "out")
    assert table["size"].tolist() == [3] * SHARED
    for side, name in (("W_dec", "decoder"), ("encoder.weight", "encoder")):
        total = 0
        for seed in range(3):
            rows = load_file(folder / f"seed{seed}" / "sae.safetensors")[side].numpy()
            total = total + unit(rows)[table[f"latent_{seed}"]]
        np.testing.assert_allclose(table[f"{name}_agreement"], np.linalg.norm(total / 3, axis=1))
        own = (sae.W_dec if side == "W_dec" else sae.encoder.weight).detach().numpy()
        np.testing.assert_allclose(unit(own), unit(total), atol=1e-6)
    scales = sae.encoder.weight.detach().norm(dim=1).numpy()
    np.testing.assert_allclose(scales, table["scale"], rtol=1e-6)
    read = sae.encoder.bias - sae.encoder.weight @ sae.b_dec
    np.testing.assert_allclose(read.detach().numpy(), table["bias"], atol=1e-5)
    stable = json.loads((folder / "matches" / "stable.json").read_text())
    assert facts["stable"]["sha256"] == stable["sha256"]
    assert [each["name"] for each in facts["saes"]] == ["seed0", "seed1", "seed2"]
    assert facts["activations"]["fingerprint"] == store.fingerprint


def test_groups_of_one_are_pooled_if_asked_for(folder: Path, tmp_path: Path) -> None:
    store = open_activations(folder / "x.npy")
    found = pool(folder / "matches", store, tmp_path / "out", seeds_at_least=1, l0=2.5, tokens=90)
    assert found["latents"] == SHARED + 3 * OWN
    assert found["compared"][0]["l0"] == pytest.approx(2.5, abs=1.6 / 45)
    table, _ = load_table(tmp_path / "out" / POOL, FORMAT)
    assert sorted(table["size"].tolist()) == [1] * 3 * OWN + [3] * SHARED


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pool", str(folder / "matches"), "--store", str(folder / "x.npy"), "--out"]
    assert main([*words, str(tmp_path / "out"), "--l0", "7"]) == 0
    printed = capsys.readouterr().out
    assert "its members alone" in printed
    assert "an L0 of 7.00 is out of reach" in printed
    assert main([*words, str(tmp_path / "out")]) == 0  # a pool may be written again
    assert main(["evaluate", str(tmp_path / "out"), "--activations", str(folder / "x.npy")]) == 0
    again = str(tmp_path / "match")
    assert main(["match", str(tmp_path / "out"), str(folder / "seed0"), "--out", again]) == 0
    assert main([*words, str(folder / "seed0")]) == 2
    error = capsys.readouterr().err
    assert error == f"error: out: {folder / 'seed0'} holds an SAE that is no pool; choose another "\
        "folder\n"  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--store narrow.npy", "seed0 reads activations of width 24, but those of narrow.npy have "
                               "width 23"),
        ("--store one.npy", "tokens: expected 2 or more, to fit and to hold out, got 1"),
        ("--store same.npy", "the held-out tokens are all the same: their variance is 0"),
        ("--store x.npy --seeds-at-least 4", "seeds_at_least: expected 1 to the 3 SAEs, got 4"),
        ("--store x.npy --l0 0", "l0: expected a number above 0, got 0.0"),
        ("--store no.npy", "--store: no.npy does not exist"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    words: str, message: str, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    out = str(tmp_path / "out")
    assert main(["pool", "matches", *words.split(), "--out", out]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not Path(out).exists()


def test_what_does_not_belong_together_is_refused(folder: Path, tmp_path: Path) -> None:
    store = open_activations(folder / "x.npy")
    saes = [tmp_path / f"seed{s}" for s in range(2)]
    rng = np.random.default_rng(0)

    def write(**settings: object) -> None:
        for place in saes:
            save_sae(sae_of(unit(rng.normal(size=(5, D))), **settings), place)

    write()
    match_all(saes, tmp_path / "m")
    with pytest.raises(FileNotFoundError, match=r"stable\.npz does not exist"):
        pool(tmp_path / "m", store, tmp_path / "out")
    stable_files(tmp_path / "m")
    with pytest.raises(ValueError, match="no group has latents of 2 SAEs"):
        pool(tmp_path / "m", store, tmp_path / "out")
    write()
    with pytest.raises(ValueError, match="has changed since the match"):
        pool(tmp_path / "m", store, tmp_path / "out", seeds_at_least=1)
    match_all(saes, tmp_path / "m")
    with pytest.raises(ValueError, match="the matches are newer than"):
        pool(tmp_path / "m", store, tmp_path / "out", seeds_at_least=1)
    write(activation="abs_topk")
    match_all(saes, tmp_path / "m")
    stable_files(tmp_path / "m")
    with pytest.raises(ValueError, match="activation abs_topk with normalization none cannot"):
        pool(tmp_path / "m", store, tmp_path / "out", seeds_at_least=1)
