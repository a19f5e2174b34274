"""Planted SAEs of which it is known which latents they share, and their matches."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from twinsae.common.files import sha256
from twinsae.matching import match_all
from twinsae.sae.firing import Firing

SEEDS = ("seed0", "seed1", "seed2")
# Which seeds have a latent, and how many such latents there are: 20 in each SAE.
STOCK = {(0, 1, 2): 9, (0, 1): 4, (0, 2): 3, (1, 2): 2, (0,): 4, (1,): 5, (2,): 6}
EACH = 20
# Of each seed, its latents in exactly 1, 2 and 3 SAEs; of each pair, those of one in the other.
IN_EXACTLY = {"seed0": [4, 7, 9], "seed1": [5, 6, 9], "seed2": [6, 5, 9]}
SHARED = {("seed0", "seed1"): 13, ("seed0", "seed2"): 12, ("seed1", "seed2"): 11}


def read_csv(path: Path) -> dict[str, list]:
    """Return a CSV file's columns; what looks like a number is one."""
    with path.open(newline="") as opened:
        names, *rows = csv.reader(opened)
    return {
        name: [_value(text) for text in column]
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@pytest.fixture(scope="session")
def in_exactly() -> dict[str, list[int]]:
    return IN_EXACTLY


@pytest.fixture(scope="session")
def shared_latents() -> dict[tuple[str, str], int]:
    return SHARED


@pytest.fixture
def read() -> Callable[[Path], dict[str, list]]:
    return read_csv


@pytest.fixture(scope="session")
def saes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three SAEs of 20 latents, D = 96. Shared latents are the same rows; others are random.

    Latent n of seed S fires on 10 n + S tokens of 1,000.
    """
    rng = np.random.default_rng(5)
    rows: list[list[np.ndarray]] = [[], [], []]
    for owners, number in STOCK.items():
        for _ in range(number):
            row = rng.standard_normal((2, 96))
            for owner in owners:
                rows[owner].append(row)
    folders = []
    for name, own in zip(SEEDS, rows, strict=True):
        folder = tmp_path_factory.mktemp("saes") / name
        folder.mkdir()
        decoder, encoder = torch.tensor(np.array(own)[rng.permutation(EACH)]).float().unbind(1)
        tensors = {"W_dec": decoder.contiguous(), "encoder.weight": encoder.contiguous()}
        save_file(tensors, folder / "sae.safetensors")
        count = 10 * np.arange(EACH) + SEEDS.index(name)
        sums = (np.ones(EACH) for _ in range(4))
        facts = {"sae": {"sha256": sha256(folder / "sae.safetensors")}}
        Firing(count, *sums, tokens=1000).save(folder / "firing.npz", facts)
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def matches(saes: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `match_all`."""
    out = tmp_path_factory.mktemp("matches")
    match_all(saes, out, names=list(SEEDS))
    return out
