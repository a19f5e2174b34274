"""SAEs measured on stored activations."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, SAEConfig
from twinsae.sae.activations import StoreWriter, open_activations
from twinsae.sae.evaluation import Measures, activations, evaluate_store, measure

D = 6
ROWS = 5000  # more than two batches


@pytest.fixture
def rows() -> Tensor:
    return torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1)) + 1


@pytest.fixture
def store(rows: Tensor, tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", rows.numpy())
    return tmp_path / "a.npy"


def saes() -> dict[str, SAE]:
    """An SAE of each kind: TopK, all positive latents, and one that reads normalised tokens."""
    shapes = {
        "topk": SAEConfig(D, 31, k=5),
        "relu": SAEConfig(D, 17, activation="relu"),
        "normed": SAEConfig(D, 12, k=3, normalization="layer_norm"),
    }
    return {name: SAE(shape, seed=7) for name, shape in shapes.items()}


def test_each_sae_is_measured_as_it_is_alone(store: Path, rows: Tensor):
    found = evaluate_store(saes(), open_activations(store))
    assert list(found) == ["topk", "relu", "normed"]
    for name, sae in saes().items():
        with torch.no_grad():
            out = sae(rows)
        alone = Measures(sae.config.num_latents, D)
        alone.add(rows, out.reconstruction, out.values, out.indices)
        assert found[name].fvu == pytest.approx(float(out.fvu), rel=1e-5)
        assert asdict(found[name]) == pytest.approx(asdict(alone.result()), rel=1e-6)
    assert found["topk"].tokens == ROWS
    assert found["topk"].l0 <= 5 < found["relu"].l0


def test_the_batches_do_not_matter(store: Path, monkeypatch: pytest.MonkeyPatch):
    whole = evaluate_store(saes(), open_activations(store), tokens=300)
    monkeypatch.setattr(activations, "_BATCH", 7)
    assert evaluate_store(saes(), open_activations(store), tokens=300) == whole


def test_only_the_first_tokens(store: Path, rows: Tensor):
    found = evaluate_store(saes(), open_activations(store), tokens=2100)
    assert found == measure(saes(), [(rows[:2100], rows[:2100])])
    assert evaluate_store(saes(), open_activations(store), tokens=10**9)["topk"].tokens == ROWS


def test_outliers_are_counted_in_medians_of_the_norm(rows: Tensor, tmp_path: Path):
    rows[[0, 4321]] *= 500
    writer = StoreWriter(tmp_path / "store", {})
    writer.add(0, rows[:4000])
    writer.add(1, rows[4000:])
    store = writer.finish()
    found = evaluate_store(saes(), store)
    without = evaluate_store(saes(), store.without_outliers(10))
    for name in found:
        assert found[name].outliers == 2
        assert without[name].outliers == 0
        fvu = without[name].fvu
        assert found[name].fvu_without_outliers == pytest.approx(fvu, rel=1e-12)
        assert abs(found[name].fvu / fvu - 1) > 1e-3
    norms = rows.norm(dim=1)
    for max_norm in (1.3, 1e9):
        count = int((norms > max_norm * norms.median()).sum())
        assert evaluate_store(saes(), store, max_norm=max_norm)["topk"].outliers == count


def test_a_transcoder_is_measured_against_its_target(store: Path, rows: Tensor, tmp_path: Path):
    target = rows @ torch.randn(D, 4, generator=torch.Generator().manual_seed(2))
    np.save(tmp_path / "y.npy", target.numpy())
    sae = SAE(SAEConfig(D, 20, k=4, transcode=True, d_out=4), seed=0)
    sae.W_dec.data.normal_(generator=torch.Generator().manual_seed(3))
    found = evaluate_store(
        {"t": sae}, open_activations(store), target=open_activations(tmp_path / "y.npy")
    )["t"]
    with torch.no_grad():
        error = (sae(rows).reconstruction - target).double()
    deviations = target.double() - target.double().mean(dim=0)
    expected = float(error.square().sum() / deviations.square().sum())
    assert found.fvu == pytest.approx(expected, rel=1e-6)


REFUSED = {
    "other width": (SAEConfig(7, 20, k=4), None, r"s reads activations of width 7, but those of "),
    "needs a target": (
        SAEConfig(D, 20, k=4, transcode=True, d_out=4),
        None,
        "^s is a transcoder: it needs a target, what it reconstructs$",
    ),
    "skips": (
        SAEConfig(D, 20, k=4, transcode=True, skip_connection=True),
        None,
        "^s is a transcoder: it needs a target, what it reconstructs$",
    ),
    "no transcoder": (SAEConfig(D, 20, k=4), (ROWS, 4), "^s is no transcoder"),
    "other target": (
        SAEConfig(D, 20, k=4, transcode=True, d_out=3),
        (ROWS, 4),
        "^s reconstructs activations of width 3, but those of the target have width 4$",
    ),
    "other rows": (
        SAEConfig(D, 20, k=4, transcode=True, d_out=4),
        (ROWS - 1, 4),
        r"^target: .*y.npy has 4,999 rows, but .*a.npy has 5,000$",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(case: str, store: Path, tmp_path: Path):
    shape, size, message = REFUSED[case]
    target = None
    if size is not None:
        np.save(tmp_path / "y.npy", np.ones(size, np.float32))
        target = open_activations(tmp_path / "y.npy")
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_store({"s": SAE(shape, seed=0)}, open_activations(store), target=target)
    assert "\n" not in str(caught.value)


def test_none_given(store: Path):
    with pytest.raises(ValueError, match="saes: expected one or more to evaluate, got none"):
        evaluate_store({}, open_activations(store))


def test_an_sae_that_gives_nan_is_named(store: Path, constant: Callable[[Tensor], SAE]):
    broken = constant(torch.full((D,), float("nan")))
    with pytest.raises(ValueError, match=r"^broken: the reconstruction of token 0 is NaN or inf"):
        evaluate_store(saes() | {"broken": broken}, open_activations(store))


def test_an_activation_that_is_not_finite_is_named(rows: Tensor, tmp_path: Path):
    rows[4500, 1] = float("inf")
    np.save(tmp_path / "b.npy", rows.numpy())
    with pytest.raises(ValueError, match=r"b.npy: activation 4500 is not finite"):
        evaluate_store(saes(), open_activations(tmp_path / "b.npy"))


def test_progress_ends_with_all_tokens(store: Path):
    told: list[tuple] = []
    evaluate_store(saes(), open_activations(store), progress=lambda *facts: told.append(facts))
    assert told[0] == ("evaluate", 0, ROWS, "tokens")
    assert told[-1] == ("evaluate", ROWS, ROWS, "tokens")


def test_gradients_are_not_recorded_and_the_saes_stay_as_they_are(
    rows: Tensor, perfect: Callable[[int], SAE]
):
    sae = perfect(D)
    found = measure({"a": sae}, [(rows, rows)])["a"]
    assert found.fvu == 0
    assert found.l0 == D
    assert sae.W_dec.requires_grad
    assert sae.W_dec.grad is None
