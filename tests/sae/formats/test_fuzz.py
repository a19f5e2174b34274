"""Damaged files of every public layout: one clear line, or an SAE of the right shapes.

Each test damages the files of one case of tests/oracles in some of all listed ways. The sample is
small and always the same; TWINSAE_FUZZ=N takes N ways for each case, TWINSAE_FUZZ=all takes all
(minutes), and TWINSAE_FUZZ_SEED another sample. ``pytest -s`` prints the counts.
"""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, load_sae
from twinsae.sae.formats.dictionary import Side, load_dictionary

DATA = Path(__file__).parents[2] / "oracles" / "data"
SIDES: tuple[Side, ...] = ("decoder", "encoder")
CASES = sorted(file.parent for file in DATA.glob("*/oracle.json"))
SAMPLE = os.environ.get("TWINSAE_FUZZ", "2")
SEED = os.environ.get("TWINSAE_FUZZ_SEED", "0")


def _refused(call: Callable[[], Any], root: Path) -> Any | None:
    """Return what a call returns, or None if it refuses with one line that names a file."""
    try:
        return call()
    except (ValueError, FileNotFoundError) as error:
        refusal = error
    message = str(refusal)
    assert message, f"{type(refusal).__name__} without a message"
    assert "\n" not in message, f"more than one line: {message}"
    assert str(root) in message, f"it names no file: {message}"
    return None


def _check_sae(sae: SAE, expected: dict[str, Tensor] | None) -> None:
    config = sae.config
    assert sae.encoder.weight.shape == (config.num_latents, config.d_in)
    assert sae.W_dec is not None
    assert len(sae.W_dec) == config.num_latents > 0
    x = torch.ones(2, config.d_in) if expected is None else expected["x"]
    with torch.no_grad():
        reconstruction = sae.float()(x).reconstruction
    assert reconstruction.shape == (len(x), sae.W_dec.shape[1])
    if expected is not None and "reconstruction" in expected:
        right = expected["reconstruction"]
        atol = 1e-4 * float(right.abs().max())
        torch.testing.assert_close(reconstruction, right, rtol=0, atol=atol)


def _check_side(ours: Tensor, right: Tensor | None) -> None:
    assert ours.ndim == 2
    assert min(ours.shape) > 0
    assert ours.is_floating_point()
    if right is not None:
        assert ours.shape == right.shape
        cosines = torch.nn.functional.cosine_similarity(ours.double(), right.double())
        assert bool((cosines > 1 - 1e-4).all()), f"cosines {cosines.tolist()}"


def _outcomes(root: Path, path: str, expected: dict[str, Tensor] | None) -> list[str]:
    place, found = root / path, []
    sae = _refused(lambda: load_sae(place), root)
    if sae is not None:
        _check_sae(sae, expected)
    found.append("refused" if sae is None else "loaded")
    for side in SIDES:
        ours = _refused(lambda side=side: load_dictionary(place, side), root)
        if ours is not None:
            _check_side(ours, expected and expected.get(side))
        found.append("refused" if ours is None else "loaded")
    return found


@pytest.fixture(scope="module")
def counts() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    yield counted
    print("\nload_sae, decoder, encoder of damaged files:", dict(counted.most_common()))


@pytest.mark.timeout(120 if SAMPLE.isdecimal() else 1800)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_damaged_files_give_one_line_or_an_sae(
    case: Path, tmp_path: Path, damages_of: Callable[[Path], list[Any]], counts: Counter[str]
) -> None:
    told = json.loads((case / "oracle.json").read_text())
    with np.load(case / "expected.npz") as file:
        expected = {name: torch.from_numpy(file[name]) for name in file.files}
    damages = damages_of(case / "files")
    if SAMPLE.isdecimal():
        damages = random.Random(f"{SEED} {case.name}").sample(damages, int(SAMPLE))
    root = tmp_path / "files"
    shutil.copytree(case / "files", root)
    wrong = []
    for damage in damages:
        file = root / damage.file
        content = damage.content()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        try:
            outcome = _outcomes(root, told["paths"][0], expected if damage.lossless else None)
        except Exception as error:
            outcome = ["wrong"]
            wrong.append(f"{damage.file}, {damage.name}: {type(error).__name__}: {error}")
        counts[", ".join(outcome)] += 1
        file.unlink(missing_ok=True)
        shutil.copy(case / "files" / damage.file, file)
    assert not wrong, f"{len(wrong)} of {len(damages)}:\n" + "\n".join(wrong[:60])


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (KeyError("k"), "KeyError"),
        (ValueError("a/sae.pt\nis bad"), "more than one line"),
        (ValueError("something is bad"), "names no file"),
        (ValueError(), "without a message"),
    ],
)
def test_a_wrong_refusal_is_noticed(error: Exception, problem: str) -> None:
    def call() -> None:
        raise error

    with pytest.raises((AssertionError, KeyError), match=problem if problem != "KeyError" else "k"):
        _refused(call, Path("/root"))


def test_a_misread_side_is_noticed() -> None:
    right = torch.eye(3, 2) + 1
    with pytest.raises(AssertionError):
        _check_side(right.T.contiguous(), right)
    with pytest.raises(AssertionError):
        _check_side(right.flip(0), right)
