"""Public SAEs compute what their owners' own code computes: see tests/oracles."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, load_sae
from twinsae.sae.formats.dictionary import Side, load_dictionary

DATA = Path(__file__).parents[2] / "oracles" / "data"
SIDES: tuple[Side, ...] = ("decoder", "encoder")
WITHIN = 1e-5  # of the largest number


class Case(NamedTuple):
    """One SAE by one of its paths."""

    path: Path
    refused: dict[str, str]
    """Words of the refusal, of "load", "decoder" or "encoder"."""
    expected: Path

    def arrays(self) -> dict[str, Tensor]:
        with np.load(self.expected) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}


def _cases() -> list[Any]:
    found = []
    for file in sorted(DATA.glob("*/oracle.json")):
        told = json.loads(file.read_text())
        for path in told["paths"]:
            whole = Case(
                file.parent / "files" / path, told.get("refused", {}), file.parent / "expected.npz"
            )
            found.append(pytest.param(whole, id=f"{file.parent.name}:{Path(path).name}"))
    return found


CASES = _cases()


def _dense(sae: SAE, x: Tensor) -> Tensor:
    top = sae.encode(x)
    values, indices = top.values, top.indices
    latents = sae.config.num_latents
    codes = torch.zeros(len(x), latents + 1, dtype=values.dtype)
    # What is missing, index -1, goes to the last column.
    return codes.scatter(1, indices.where(indices >= 0, latents), values)[:, :-1]


def _close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=WITHIN * float(theirs.abs().max()))


def _refusal(call: Any, path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert any(part in message for part in (path.name, str(path.parent)))


FAMILIES = {
    "arena", "circuit-tracer", "ckkissane", "dictionary-learning", "dmanningcoe", "gemma-scope-1",
    "gemma-scope-2", "goodfire", "goodfire-hackathon", "llama-scope-1", "llama-scope-2",
    "llama-scope-r1", "mlsae", "mwhanna", "openai", "opensae", "qresearch", "qwen-scope", "saelens",
    "sparsify", "temporal",
}  # fmt: skip


def test_there_are_cases_of_every_family() -> None:
    names = [file.parent.name for file in DATA.glob("*/oracle.json")]
    missing = {family for family in FAMILIES if not any(name.startswith(family) for name in names)}
    assert not missing


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")  # what was assumed is told, and right here
@pytest.mark.parametrize("case", CASES)
def test_codes_and_reconstruction_are_the_owners(case: Case) -> None:
    if "load" in case.refused:
        _refusal(lambda: load_sae(case.path), case.path, case.refused["load"])
        return
    expected = case.arrays()
    sae = load_sae(case.path).float()
    with torch.no_grad():
        _close(_dense(sae, expected["x"]), expected["codes"])
        _close(sae(expected["x"]).reconstruction, expected["reconstruction"])


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")  # what was assumed is told, and right here
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES)
def test_dictionaries_are_the_owners(case: Case, side: Side) -> None:
    expected = case.arrays().get(side)
    if side in case.refused:
        _refusal(lambda: load_dictionary(case.path, side), case.path, case.refused[side])
        return
    if expected is None:
        pytest.skip(f"the owner's {side} is not one matrix")
    ours = load_dictionary(case.path, side).float()
    assert ours.shape == expected.shape
    cosines = torch.nn.functional.cosine_similarity(ours.double(), expected.double())
    torch.testing.assert_close(cosines, torch.ones_like(cosines), rtol=0, atol=1e-6)
