"""The paper's relations (arXiv 2501.16615), on planted SAEs whose features are common or rare."""

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from twinsae.common.files import sha256
from twinsae.common.tables import load_table
from twinsae.matching import match_all
from twinsae.matching.match_folder import read_summary
from twinsae.sae.firing import Firing

SAES, LATENTS, DEAD, STOCK, D = 5, 48, 6, 60, 64
TOKENS = 10_000


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder of `match_all`, and which of 60 features each of the five SAEs has, (SAEs, STOCK).

    Feature n fires on 3,000 / (n + 1) tokens, and an SAE has it with a probability that falls with
    n. The SAEs that have it share its decoder row; their encoder rows have noise that grows with n.
    Of an SAE's 48 latents, those without a feature are random, and the last six never fire.
    """
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("relations")
    directions = rng.standard_normal((2, STOCK, D))
    has = rng.random((SAES, STOCK)) < np.linspace(1, 0.15, STOCK)
    saes = []
    for number, own in enumerate(has):
        features = np.flatnonzero(own)[: LATENTS - DEAD]
        has[number, features[-1] + 1 :] = False
        rows = rng.standard_normal((2, LATENTS, D))
        noise = rng.standard_normal((len(features), D)) * (features / STOCK)[:, None]
        rows[:, : len(features)] = directions[:, features]
        rows[1, : len(features)] += noise
        count = np.zeros(LATENTS, dtype=np.int64)
        count[: len(features)] = 3000 // (features + 1)
        count[len(features) : LATENTS - DEAD] = 20
        place = rng.permutation(LATENTS)
        saes.append(_save(folder / f"sae{number}", rows[:, place], count[place]))
    match_all(saes, folder / "matches")
    return folder / "matches", has


def _save(folder: Path, rows: np.ndarray, count: np.ndarray) -> Path:
    folder.mkdir()
    decoder, encoder = (part.contiguous() for part in torch.tensor(rows).float())
    file = folder / "sae.safetensors"
    save_file({"W_dec": decoder, "encoder.weight": encoder}, file)
    sums = (np.ones(LATENTS) for _ in range(4))
    Firing(count, *sums, tokens=TOKENS).save(
        folder / "firing.npz", {"sae": {"sha256": sha256(file)}}
    )
    return folder


def test_the_unique_share_falls_with_n_and_flattens(planted):
    matches, _ = planted
    latents = load_table(matches / "seed_latents.npz", "twinsae-seed-latents/1").columns
    others = latents["in_seeds"] - 1  # (SAES L,) how many of the four others have the latent
    found = match_all([matches.parent / f"sae{n}" for n in range(SAES)], matches)["only_in_base"]
    shares = [point["mean"] for point in found]
    # Of all sets of n - 1 of the four others, so many miss the k that have a latent.
    expected = [
        np.mean([comb(SAES - 1 - k, n - 1) / comb(SAES - 1, n - 1) for k in others])
        for n in range(2, SAES + 1)
    ]
    np.testing.assert_allclose(shares, expected)
    steps = np.diff(shares)
    assert (steps < -0.005).all()
    assert (np.diff(steps) > 0.002).all()


def test_rare_latents_are_shared_less(planted):
    matches, has = planted
    latents = load_table(matches / "seed_latents.npz", "twinsae-seed-latents/1").columns
    count, in_seeds = latents["count"], latents["in_seeds"]
    means = [
        in_seeds[(count > low) & (count <= high)].mean()
        for low, high in ((-1, 0), (0, 100), (100, 600), (600, TOKENS))
    ]
    assert means[0] == 1  # those that never fire
    assert (np.diff(means) > 0.3).all()
    # The most common features are in every SAE that has them by plan.
    common = 3000 // (np.arange(4) + 1)
    expected = np.concatenate([np.repeat(has[:, n].sum(), has[:, n].sum()) for n in range(4)])
    assert sorted(in_seeds[np.isin(count, common)]) == sorted(expected)


def test_a_stricter_criterion_shares_no_more(planted):
    matches, _ = planted
    less_than = {  # for any matching and threshold
        "and_equal": ("and", "equal"),
        "and": ("decoder", "encoder", "mean", "max"),
        "max": ("max_decoder", "max_encoder"),
        "decoder": ("max_decoder",),
        "encoder": ("max_encoder",),
    }
    for a, b in combinations(range(SAES), 2):
        found = read_summary(matches / f"sae{a}--sae{b}")["overlap"]
        for less, criteria in less_than.items():
            for more in criteria:
                assert found["criteria"][less] <= found["criteria"][more], (less, more)
                if more in found["sweep"]:
                    difference = np.subtract(found["sweep"][more], found["sweep"][less])
                    assert (difference >= 0).all(), (less, more)
        # They differ here: encoders are the noisier side.
        assert found["criteria"]["and"] < found["criteria"]["decoder"] - 0.02


def test_live_latents_are_shared_more_than_all(planted):
    matches, _ = planted
    for a, b in combinations(range(SAES), 2):
        found = read_summary(matches / f"sae{a}--sae{b}")["overlap"]
        live = found["live"]
        assert (live["by"], live["num_latents"]) == ("firing", LATENTS - DEAD)
        for name, share in found["criteria"].items():
            assert live["criteria"][name] >= share, name
        assert live["criteria"]["decoder"] == pytest.approx(
            found["criteria"]["decoder"] * LATENTS / (LATENTS - DEAD)
        )
