"""Losses within a tiny language model against forward passes in float64 written out here."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from twinsae.common.progress import silent
from twinsae.matching.substitution import in_model
from twinsae.matching.substitution.model_runs import ModelRuns
from twinsae.matching.substitution.observed import Observed, observe, unit_rows
from twinsae.matching.substitution.sampling import sample_latents
from twinsae.sae import SAE, SAEConfig
from twinsae.sae.activations import HarvestConfig

CONTEXT, D, SEQUENCES = 16, 12, 6
LATENTS = 30


@pytest.fixture
def config(model_folder: Path, tmp_path: Path) -> HarvestConfig:
    letters = random.Random(0).choices("abcdefghijklmnopqrstuvwxy", k=300)
    (tmp_path / "text.txt").write_text("".join(letters))
    return HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.0.mlp",),
        text=str(tmp_path / "text.txt"),
        tokens=SEQUENCES * CONTEXT,
        context=CONTEXT,
        dtype="float32",
        skip_first=False,
    )


def make_sae(seed: int) -> SAE:
    sae = SAE(SAEConfig(D, LATENTS, k=4), seed=seed)
    with torch.no_grad():
        sae.W_dec.mul_(50)  # the activations of a random model are small
    return sae


class Dense:
    """The model in float64, with anything in place of h.0.mlp's output."""

    def __init__(self, folder: Path, ids: Tensor) -> None:
        self.model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval().double()
        self.ids = ids
        self.p = self.predict(None)

    @torch.no_grad()
    def predict(self, rows: np.ndarray | None) -> Tensor:
        def change(_module, _args, output: Tensor) -> Tensor:
            return output if rows is None else torch.from_numpy(rows).reshape(output.shape)

        handle = self.model.transformer.h[0].mlp.register_forward_hook(change)
        logits = self.model(input_ids=self.ids).logits
        handle.remove()
        return logits.log_softmax(dim=-1)

    def sums(self, rows: np.ndarray, sequence: slice) -> tuple[float, float]:
        """Return cross-entropy and KL, summed over some sequences."""
        p, q = self.p[sequence, :-1], self.predict(rows)[sequence, :-1]
        ce = -q.gather(2, self.ids[sequence, 1:, None])
        return float(ce.sum()), float((p.exp() * (p - q)).sum())


Case = tuple[ModelRuns, Observed, tuple[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture
def case(config: HarvestConfig) -> Case:
    runs = ModelRuns(config, silent)
    a, b = make_sae(0), make_sae(1)
    partner = np.random.default_rng(0).permutation(LATENTS)
    return runs, observe(a, b, runs.x.split(40)), (unit_rows(a), unit_rows(b)), partner


@pytest.fixture
def dense(case: Case, model_folder: Path) -> Dense:
    return Dense(model_folder, torch.cat(case[0].sequences))


def error_with(case: Case, kind: str, latents: list[int]) -> np.ndarray:
    """Return the error with some latents replaced."""
    _, observed, (units, other_units), partner = case
    error = observed.error.copy()
    for i in latents:
        own, theirs = (m[:, [j]].toarray() for m, j in ((observed.a, i), (observed.b, partner[i])))
        error -= own * units[i]
        if kind == "direction":
            error += own * other_units[partner[i]]
        if kind == "activation":
            error += theirs * units[i]
    return error


def test_a_single_latent_loses_what_a_forward_pass_says(case: Case, dense: Dense):
    runs, observed, units, partner = case
    assert runs.starts.tolist() == list(range(0, 97, CONTEXT))
    cosine = np.linspace(1, 0, LATENTS)
    sample = sample_latents(cosine, observed.a, runs.starts, 0)
    table = in_model.single_latents(runs, observed, units, partner, sample, silent)
    assert len(table["latent"]) > 20
    assert len(set(sample.sequence)) > 1
    x = runs.x.double().numpy()
    for row, latent in enumerate(table["latent"]):
        own = slice(sample.sequence[row], sample.sequence[row] + 1)
        base = dense.sums(x + observed.error, own)
        assert table["partner"][row] == partner[latent]
        for kind in ("removed", "direction", "activation"):
            new = dense.sums(x + error_with(case, kind, [latent]), own)
            for place, loss in enumerate(("ce", "kl")):
                wanted = (new[place] - base[place]) / sample.firings[row]
                assert table[f"{loss}_{kind}"][row] == pytest.approx(wanted, rel=2e-3, abs=2e-5)
    assert np.abs(table["kl_direction"]).max() > 1e-3
    assert (table["kl_direction"] != table["kl_activation"]).any()


def test_many_latents_lose_what_a_forward_pass_says(
    case: Case, dense: Dense, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(in_model, "CURVE_TOKENS", 33)  # so that three sequences of 16 are taken
    runs, observed, units, partner = case
    choices = {"exact": partner, "none": np.full(LATENTS, -1)}
    table, facts = in_model.many_latents(runs, observed, units, choices, silent)
    assert facts["tokens"] == 3 * (CONTEXT - 1)
    x, first = runs.x.double().numpy(), slice(0, 3)
    mean = np.broadcast_to(x.mean(axis=0), x.shape)
    base = dense.sums(x + observed.error, first)
    worst = dense.sums(np.ascontiguousarray(mean), first)
    cosine = (units[0] * units[1][partner]).sum(axis=1)
    live = np.diff(observed.a.indptr) > 0
    order = [i for i in np.argsort(-cosine) if live[i]]
    for place, loss in enumerate(("ce", "kl")):
        assert facts[f"{loss}_sae"] == pytest.approx(base[place] / 45, rel=1e-4, abs=1e-7)
        assert facts[f"{loss}_mean"] == pytest.approx(worst[place] / 45, rel=1e-4, abs=1e-7)
    for row in (0, 10, 19):
        number = len(order) * (row + 1) // 20
        assert table["replaced"][row] == number
        new = dense.sums(x + error_with(case, "direction", order[:number]), first)
        for place, loss in enumerate(("ce", "kl")):
            assert table[loss][row] == pytest.approx(new[place] / 45, rel=1e-4, abs=1e-7)
            left = (worst[place] - new[place]) / (worst[place] - base[place])
            assert table[f"quality_{loss}"][row] == pytest.approx(left, rel=1e-2, abs=1e-3)
    assert table["choice"].tolist() == ["exact"] * 20 + ["none"] * 20
    everything = dense.sums(x + error_with(case, "removed", order), first)
    assert table["kl"][39] == pytest.approx(everything[1] / 45, rel=1e-4, abs=1e-7)


def test_a_text_in_which_nothing_is_predicted_is_refused(case: Case):
    runs, observed, units, partner = case
    runs.sequences = [ids[:, :1] for ids in runs.sequences]
    runs.starts = np.arange(len(runs.sequences) + 1)
    with pytest.raises(ValueError, match="text: no token is replaced and followed by another"):
        in_model.many_latents(runs, observed, units, {"exact": partner}, silent)
