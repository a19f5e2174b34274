"""Chains of matches, on planted SAEs whose latents move in a known order."""

import json

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import match_files
from twinsae.matching.chain import CHAIN_FORMAT, chain
from twinsae.matching.mapping import match_mapped
from twinsae.sae import SAE, SAEConfig, save_sae

ORDERS = ([1, 0, 3, 2], [2, 0, 1, 3])  # latent i of one SAE is latent order[i] of the next


def write(folder, decoder, encoder, threshold=None) -> None:
    activation = "topk" if threshold is None else "jumprelu"
    sae = SAE(
        SAEConfig(d_in=decoder.shape[1], num_latents=len(decoder), k=1, activation=activation)
    )
    with torch.no_grad():
        sae.W_dec.copy_(torch.from_numpy(decoder))
        sae.encoder.weight.copy_(torch.from_numpy(encoder))
        if threshold is not None:
            sae.threshold.copy_(torch.from_numpy(threshold))
    save_sae(sae, folder)


def moved(rows: np.ndarray, order: list[int], by: list[float]) -> np.ndarray:
    """Rows in another order, each turned in its own plane by an angle."""
    size = len(rows)
    own, spare = rows[:, :size], np.eye(size, rows.shape[1], size)
    assert np.allclose(own, np.eye(size))
    angles = np.asarray(by)[:, None]
    turned = np.cos(angles) * rows + np.sin(angles) * spare
    return turned[np.argsort(order)]


@pytest.fixture
def steps(tmp_path):
    """Three SAEs of four latents in eight dimensions, and the two matches between them."""
    first = np.eye(4, 8)
    angles = np.arccos([[0.95, 0.9, 0.6, 0.8], [0.6, 0.95, 0.9, 0.9]])
    second = moved(first, ORDERS[0], angles[0])
    # Latents of the second go on by further angles, in the planes that they were turned in.
    total = angles[0] + angles[1][ORDERS[0]]
    path = np.array(ORDERS[1])[ORDERS[0]]
    third = moved(first, list(path), total)
    for number, rows in enumerate((first, second, third)):
        write(tmp_path / f"s{number}", rows, rows[:, ::-1].copy())
    for number in range(2):
        pair = (tmp_path / f"s{number}", tmp_path / f"s{number + 1}")
        match_files(*pair, ("decoder", "encoder"), tmp_path / f"m{number}")
    return [tmp_path / "m0", tmp_path / "m1"], angles, path


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_latents_are_followed_and_survive_above_the_threshold(steps, side) -> None:
    folders, angles, path = steps
    found = chain(folders, side=side)
    np.testing.assert_array_equal(found.partner, [ORDERS[0], path])
    expected = np.cos([angles[0], angles[1][ORDERS[0]]])
    np.testing.assert_allclose(found.cosine, expected, atol=1e-6)
    total = angles[0] + angles[1][ORDERS[0]]
    np.testing.assert_allclose(found.to_first, np.cos([angles[0], total]), atol=1e-6)
    np.testing.assert_array_equal(found.survived, np.cumprod(expected > 0.7, axis=0))
    assert found.survived.sum(axis=1).tolist() == [3, 2]
    assert np.isnan(found.folded_mse).all()
    shares = [step["survived"] for step in found.steps()]
    assert shares == [0.75, 0.5]


def test_a_latent_without_a_partner_ends_there(steps, tmp_path) -> None:
    folders, _, _ = steps
    write(tmp_path / "small", np.eye(2, 8, 1), np.eye(2, 8))
    match_files(tmp_path / "s2", tmp_path / "small", ("decoder",), tmp_path / "m2")
    match_files(tmp_path / "small", tmp_path / "s0", ("decoder",), tmp_path / "m3")
    found = chain([*folders, tmp_path / "m2", tmp_path / "m3"], threshold=-1)
    gone = found.partner[2] < 0
    assert gone.sum() == 2
    np.testing.assert_array_equal(found.partner[3] < 0, gone)
    assert np.isnan(found.to_first[2:, gone]).all()
    np.testing.assert_array_equal(found.survived[3], ~gone)


def test_thresholds_are_folded(tmp_path) -> None:
    rng = np.random.default_rng(0)
    decoder, encoder = rng.standard_normal((2, 3, 5))
    thresholds = np.array([[0.5, 2.0, 1.0], [1.5, 0.0, 0.25]])
    for number, threshold in enumerate(thresholds):
        write(tmp_path / f"s{number}", decoder, encoder, threshold)
    match_files(tmp_path / "s0", tmp_path / "s1", ("decoder",), tmp_path / "m")
    found = chain([tmp_path / "m"]).folded_mse[0]
    decoder, encoder = decoder.astype(np.float32), encoder.astype(np.float32)
    for latent in (0, 2):
        a, b = (
            np.concatenate([decoder[latent] * t[latent], encoder[latent] / t[latent]])
            for t in thresholds
        )
        assert found[latent] == pytest.approx(np.square(a - b).mean())
    assert np.isnan(found[1])  # its threshold is 0


def test_a_chain_goes_through_maps(tmp_path) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 5))
    maps = rng.standard_normal((2, 5, 5))
    spaces = [x, x @ maps[0], x @ maps[0] @ maps[1]]
    rows = rng.standard_normal((6, 5))
    for number, space in enumerate(spaces):
        np.save(tmp_path / f"x{number}.npy", space)
        write(tmp_path / f"s{number}", rows, rows)
        rows = rows @ maps[number] if number < 2 else rows
    for number in range(2):
        one, two = number, number + 1
        match_mapped(
            tmp_path / f"s{one}", tmp_path / f"s{two}", tmp_path / f"m{one}",
            stores=[tmp_path / f"x{one}.npy", tmp_path / f"x{two}.npy"], kind="affine",
            sides=("decoder",),
        )  # fmt: skip
    found = chain([tmp_path / "m0", tmp_path / "m1"])
    np.testing.assert_array_equal(found.partner, [range(6)] * 2)
    np.testing.assert_allclose(found.to_first, 1, atol=1e-5)


def test_the_command_writes_the_table(steps, tmp_path, capsys) -> None:
    folders, _, _ = steps
    assert main(["chain", *map(str, folders), "--out", str(tmp_path / "out")]) == 0
    assert "0.75" in capsys.readouterr().out
    table = load_table(tmp_path / "out" / "chain-decoder.npz", CHAIN_FORMAT)
    assert table.columns["step"].tolist() == [1] * 4 + [2] * 4
    assert table.columns["latent"].tolist() == [0, 1, 2, 3] * 2
    assert table.facts["steps"] == json.loads(json.dumps(chain(folders).steps()))


def test_what_does_not_fit_is_named(steps, tmp_path) -> None:
    folders, _, _ = steps
    with pytest.raises(ValueError, match=r"m0 does not go on from .*m1: its A has the SHA-256"):
        chain(folders[::-1])
    with pytest.raises(ValueError, match="matches: expected one or more, got none"):
        chain([])
    match_files(tmp_path / "s0", tmp_path / "s1", ("decoder",), tmp_path / "decoders")
    with pytest.raises(ValueError, match="decoders has no matching of the encoders"):
        chain([tmp_path / "decoders"], side="encoder")
