"""SAEs spliced into a tiny language model; each loss against a forward pass written out here."""

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from twinsae.sae import SAE, SAEConfig
from twinsae.sae.activations import HarvestConfig, harvest
from twinsae.sae.evaluation import Spliced, evaluate_model, evaluate_store, splice
from twinsae.sae.evaluation.splice import Predictions, logits_with

EOS = 26  # of `model_folder`
CONTEXT = 16
D = 12


@pytest.fixture(scope="module")
def letters() -> str:
    return "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxy", k=300))


@pytest.fixture
def config(model_folder: Path, letters: str, tmp_path: Path) -> HarvestConfig:
    (tmp_path / "text.txt").write_text(letters)
    return HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.0.mlp",),
        text=str(tmp_path / "text.txt"),
        tokens=200,
        context=CONTEXT,
        sequences=4,
        dtype="float32",
        skip_first=False,
    )


def sequences(letters: str, number: int) -> Tensor:
    ids = torch.tensor([*(ord(letter) - 97 for letter in letters), EOS])
    return ids[: number * CONTEXT].reshape(number, CONTEXT)


class Dense:
    """The model in float64, with anything in place of h.0.mlp's output; all of the text at once."""

    def __init__(self, folder: Path, ids: Tensor, skip: int = 0) -> None:
        self.model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval().double()
        self.ids, self.skip = ids, skip
        self.mlp = self.model.transformer.h[0].mlp
        kept: list[Tensor] = []
        self.original = self.run(lambda x: (kept.append(x), x)[1])
        self.x = kept[0][:, skip:].reshape(-1, D)

    def run(self, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Return log-probabilities (S, T, V)."""
        handle = self.mlp.register_forward_hook(lambda _module, _args, output: change(output))
        with torch.no_grad():
            logits = self.model(input_ids=self.ids).logits
        handle.remove()
        return logits.log_softmax(dim=-1)

    def losses(self, rows: Tensor | None) -> tuple[float, float]:
        """Return cross-entropy and KL with ``rows`` (n, D) in the places after the first."""
        new = self.original
        if rows is not None:
            filled = rows.double().reshape(len(self.ids), -1, D)
            new = self.run(lambda x: torch.cat([x[:, : self.skip], filled], dim=1))
        p, q = self.original[:, self.skip : -1], new[:, self.skip : -1]
        ce = -q.gather(2, self.ids[:, self.skip + 1 :, None])
        return float(ce.mean()), float((p.exp() * (p - q)).sum(dim=-1).mean())


def expected(dense: Dense, reconstruction: Tensor) -> dict[str, float]:
    original, _ = dense.losses(None)
    ce, kl = zip(
        dense.losses(reconstruction),
        dense.losses(torch.zeros_like(dense.x)),
        dense.losses(dense.x.mean(dim=0).expand(dense.x.shape)),
        strict=True,
    )
    return {
        "tokens": len(dense.ids) * (CONTEXT - 1 - dense.skip),
        "ce_original": original,
        "ce_sae": ce[0],
        "ce_zero": ce[1],
        "ce_mean": ce[2],
        "ce_recovered_zero": (ce[1] - ce[0]) / (ce[1] - original),
        "ce_recovered_mean": (ce[2] - ce[0]) / (ce[2] - original),
        "kl_sae": kl[0],
        "kl_zero": kl[1],
        "kl_mean": kl[2],
        "kl_recovered_zero": 1 - kl[0] / kl[1],
        "kl_recovered_mean": 1 - kl[0] / kl[2],
    }


def close(found: Spliced, dense: dict[str, float]) -> None:
    assert asdict(found) == pytest.approx(dense, rel=1e-4, abs=1e-6)  # the model runs in float32


def saes(x: Tensor) -> dict[str, SAE]:
    """Two SAEs that reconstruct something of activations like ``x``."""
    found = {}
    for seed, k in ((0, 3), (1, 8)):
        sae = SAE(SAEConfig(D, 40, k=k), seed=seed)
        sae.b_dec.data = x.mean(dim=0).float()
        found[f"k{k}"] = sae
    return found


@pytest.mark.parametrize("skip", [0, 1])
def test_every_loss_is_that_of_a_forward_pass_written_out(
    config: HarvestConfig, model_folder: Path, letters: str, skip: int
):
    # 13 sequences have 200 positions or more, if 16 or 15 of each are replaced: 14 with a skip.
    number = -(-200 // (CONTEXT - skip))
    dense = Dense(model_folder, sequences(letters, number), skip)
    given = saes(dense.x)
    found = evaluate_model(given, replace(config, skip_first=bool(skip)))
    assert found.facts == {"dtype": "float32", "bos": None, "skip_first": bool(skip)}
    for name, sae in given.items():
        with torch.no_grad():
            reconstruction = sae(dense.x.float()).reconstruction
        close(found.spliced[name], expected(dense, reconstruction))
        deviations = dense.x - dense.x.mean(dim=0)
        fvu = (reconstruction - dense.x).square().sum() / deviations.square().sum()
        assert found.measured[name].fvu == pytest.approx(float(fvu), rel=1e-4)
        assert found.measured[name].tokens == number * (CONTEXT - skip)
    # The case tells the SAEs and the baselines apart.
    assert len({round(value, 4) for value in asdict(found.spliced["k3"]).values()}) == 12
    assert found.spliced["k3"].kl_sae != found.spliced["k8"].kl_sae
    assert found.spliced["k3"].kl_zero == found.spliced["k8"].kl_zero


def test_a_perfect_sae_loses_nothing(config: HarvestConfig, perfect: Callable[[int], SAE]):
    found = evaluate_model({"perfect": perfect(D)}, config)
    spliced = found.spliced["perfect"]
    assert spliced.ce_sae == spliced.ce_original
    assert spliced.kl_sae == 0
    assert spliced.ce_recovered_zero == spliced.ce_recovered_mean == 1
    assert spliced.kl_recovered_zero == spliced.kl_recovered_mean == 1
    assert found.measured["perfect"].fvu == 0
    assert min(spliced.kl_zero, spliced.kl_mean) > 0


def test_zeros_recover_nothing_and_so_does_the_mean(
    config: HarvestConfig, model_folder: Path, letters: str, constant: Callable[[Tensor], SAE]
):
    mean = Dense(model_folder, sequences(letters, 13)).x.mean(dim=0).float()
    given = {"zero": constant(torch.zeros(D)), "mean": constant(mean)}
    found = evaluate_model(given, config).spliced
    assert found["zero"].ce_recovered_zero == found["zero"].kl_recovered_zero == 0
    assert found["zero"].ce_sae == found["zero"].ce_zero
    for share in ("ce_recovered_mean", "kl_recovered_mean"):
        assert getattr(found["mean"], share) == pytest.approx(0, abs=1e-3)


def test_the_batches_do_not_matter(config: HarvestConfig, model_folder: Path, letters: str):
    given = saes(Dense(model_folder, sequences(letters, 13)).x)
    four = evaluate_model(given, config)
    for size in (3, 20):
        found = evaluate_model(given, replace(config, sequences=size))
        for name in given:
            assert asdict(found.spliced[name]) == pytest.approx(
                asdict(four.spliced[name]), rel=1e-4, abs=1e-6
            )
            assert asdict(found.measured[name]) == pytest.approx(
                asdict(four.measured[name]), rel=1e-4
            )


def test_measures_are_those_of_the_harvested_store(config: HarvestConfig, tmp_path: Path):
    # The same positions: of 13 sequences all 16.
    config = replace(config, tokens=13 * CONTEXT)
    (store,) = harvest(config, tmp_path / "store").values()
    given = saes(torch.cat(list(store.in_order(1000))))
    stored, found = evaluate_store(given, store), evaluate_model(given, config).measured
    for name in given:
        assert asdict(found[name]) == pytest.approx(asdict(stored[name]), rel=1e-5)


@pytest.mark.parametrize("bos", ["no", "yes"])
def test_bos_keeps_the_models_output(
    config: HarvestConfig, model_folder: Path, letters: str, bos: str, constant, monkeypatch
):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    tokenizer.bos_token = "<eos>"
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: tokenizer)
    found = evaluate_model({"zero": constant(torch.zeros(D))}, replace(config, bos=bos, tokens=45))
    first = sequences(letters, 1)
    length = CONTEXT - (bos == "yes")
    ids = torch.tensor([ord(letter) - 97 for letter in letters])[: 3 * length].reshape(3, length)
    if bos == "yes":
        ids = torch.cat([torch.full((3, 1), EOS), ids], dim=1)
    assert found.facts["bos"] == (EOS if bos == "yes" else None)
    dense = Dense(model_folder, ids, skip=int(bos == "yes"))
    ce, kl = dense.losses(torch.zeros_like(dense.x))
    assert found.spliced["zero"].ce_zero == pytest.approx(ce, abs=1e-6)
    assert found.spliced["zero"].kl_zero == pytest.approx(kl, abs=1e-6)
    assert len(first) == 1


def test_padded_sequences_count_only_their_own_tokens(
    config: HarvestConfig, model_folder: Path, tmp_path: Path, constant: Callable
):
    lengths = [5, 16, 2, 9]
    draw = torch.Generator().manual_seed(4)
    rows = [torch.randint(26, (length,), generator=draw) for length in lengths]
    lines = [f'{{"input_ids": {row.tolist()}}}\n' for row in rows]
    (tmp_path / "ids.jsonl").write_text("".join(lines))
    config = replace(config, text=str(tmp_path / "ids.jsonl"), tokens=32)
    found = evaluate_model({"zero": constant(torch.zeros(D))}, config)
    ce = kl = 0.0
    for row in rows:
        dense = Dense(model_folder, row[None])
        own = dense.losses(torch.zeros_like(dense.x))
        ce, kl = ce + own[0] * (len(row) - 1), kl + own[1] * (len(row) - 1)
    spliced = found.spliced["zero"]
    assert (spliced.tokens, found.measured["zero"].tokens) == (28, 32)
    assert spliced.ce_zero == pytest.approx(ce / 28, abs=1e-6)
    assert spliced.kl_zero == pytest.approx(kl / 28, abs=1e-6)


def test_a_first_token_that_is_a_sink_is_found(
    config: HarvestConfig, perfect: Callable[[int], SAE], monkeypatch: pytest.MonkeyPatch
):
    given = {"perfect": perfect(D)}
    auto = replace(config, skip_first=None)
    assert evaluate_model(given, auto).facts["skip_first"] is False
    monkeypatch.setattr("twinsae.sae.activations.hooked_model.SINK_RATIO", 1.0 + 1e-9)
    assert evaluate_model(given, auto).facts["skip_first"] is True


def test_a_transcoder_reads_one_place_and_replaces_another(
    config: HarvestConfig, model_folder: Path, letters: str
):
    ids = sequences(letters, 13)
    sae = SAE(SAEConfig(D, 30, k=6, transcode=True), seed=5)
    sae.W_dec.data.normal_(generator=torch.Generator().manual_seed(6)).div_(4)
    given = replace(config, hookpoint=("h.0.ln_2",))
    found = evaluate_model({"t": sae}, given, target="h.0.mlp")
    dense = Dense(model_folder, ids)
    inputs: list[Tensor] = []
    hook = lambda _module, _args, output: inputs.append(output)  # noqa: E731
    handle = dense.model.transformer.h[0].ln_2.register_forward_hook(hook)
    dense.run(lambda x: x)
    handle.remove()
    with torch.no_grad():
        reconstruction = sae(inputs[0].reshape(-1, D).float()).reconstruction
    close(found.spliced["t"], expected(dense, reconstruction))
    deviations = dense.x - dense.x.mean(dim=0)
    fvu = (reconstruction - dense.x).square().sum() / deviations.square().sum()
    assert found.measured["t"].fvu == pytest.approx(float(fvu), rel=1e-5)


def test_outliers_are_counted_in_medians_of_the_norm(
    config: HarvestConfig, model_folder: Path, letters: str
):
    dense = Dense(model_folder, sequences(letters, 13))
    norms = dense.x.norm(dim=1)
    found = evaluate_model(saes(dense.x), config, max_norm=1.2).measured["k3"]
    assert found.outliers == int((norms > 1.2 * norms.median()).sum()) > 0


def test_outputs_that_are_tuples_are_spliced(config: HarvestConfig, perfect: Callable[[int], SAE]):
    # GPT-2's attention returns its output and its weights.
    found = evaluate_model({"perfect": perfect(D)}, replace(config, hookpoint=("h.1.attn",)))
    spliced = found.spliced["perfect"]
    assert (spliced.kl_sae, spliced.ce_recovered_zero) == (0, 1)
    assert spliced.kl_zero > 0


class Twice(torch.nn.Module):
    """Runs one module twice, and sees tokens as one list, as the experts of some models do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(9, 4)
        self.inner = torch.nn.Identity()

    def forward(self, input_ids: Tensor) -> Any:
        flat = self.embed(input_ids).flatten(0, 1)
        logits = 10 * self.inner(flat) + self.inner(flat)
        return transformers.modeling_outputs.CausalLMOutput(
            logits=logits.reshape(*input_ids.shape, -1)
        )


def test_of_several_calls_the_first_is_changed():
    twice, ids = Twice(), torch.tensor([[1, 2, 3], [4, 5, 6]])
    seen: list[torch.Size] = []

    def change(output: Tensor) -> Tensor:
        seen.append(output.shape)
        return torch.zeros_like(output)

    found = logits_with(twice, ids, {twice.inner: change})
    assert torch.equal(found, twice.embed(ids))
    assert seen == [(2, 3, 4)]
    assert not twice.inner._forward_hooks


def test_an_error_leaves_no_hooks():
    def fails(_output: Tensor) -> Tensor:
        raise KeyError("change")

    twice = Twice()
    with pytest.raises(KeyError):
        logits_with(twice, torch.tensor([[1, 2]]), {twice.inner: fails})
    assert not twice.inner._forward_hooks


def test_what_the_model_rules_out_adds_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splice, "_BLOCK_ROWS", 2)
    ids = torch.tensor([[0, 1, 2, 0, 1]])
    draw = torch.Generator().manual_seed(0)
    original, changed = torch.randn(2, 1, 5, 4, generator=draw)
    original[..., 3] = changed[..., 3] = -torch.inf
    found = Predictions(ids, torch.ones_like(ids, dtype=torch.bool)).losses(original, changed)
    p, q = (x[0, :-1, :3].double().log_softmax(dim=-1) for x in (original, changed))
    assert found.ce == pytest.approx(-float(q.gather(1, ids[0, 1:, None]).sum()), rel=1e-6)
    assert found.kl == pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-6)
    # Ruled out by the changed model alone, it is infinitely surprising.
    original[..., 3] = 0
    assert Predictions(ids, ids >= 0).losses(original, changed).kl == float("inf")


REFUSED = {
    "width": ({}, {}, r"^s reads activations of width 7, but those of h.0.mlp have width 12$"),
    "hookpoint": ({"hookpoint": ("h.0.mpl",)}, {}, "hookpoint 'h.0.mpl' is no module"),
    "several": (
        {"hookpoint": ("h.0.mlp", "h.1.mlp")},
        {},
        "hookpoint: expected the name of one module, got h.0.mlp h.1.mlp",
    ),
    "pattern": ({"hookpoint": ("h.*.mlp",)}, {}, "expected the name of one module"),
    "target": ({}, {"target": "h.*"}, "expected the name of one module, got h.0.mlp"),
    "context": ({"context": 17}, {}, "context: 17 tokens are more than the 16 positions"),
    "short": (
        {"context": 2, "skip_first": True},
        {},
        "context: in sequences of 2 tokens none is replaced and followed by another",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(
    case: str, config: HarvestConfig, perfect: Callable[[int], SAE]
):
    changes, options, message = REFUSED[case]
    given = {"s": perfect(7 if case == "width" else D)}
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_model(given, replace(config, **changes), **options)
    assert "\n" not in str(caught.value)


def test_a_transcoder_without_a_target(config: HarvestConfig):
    sae = SAE(SAEConfig(D, 30, k=6, transcode=True, skip_connection=True), seed=5)
    with pytest.raises(
        ValueError, match=r"^t is a transcoder: it needs a target, what it reconstructs$"
    ):
        evaluate_model({"t": sae}, config)


def test_an_encoder_predicts_no_next_token(
    config: HarvestConfig, model_folder: Path, perfect: Callable[[int], SAE], monkeypatch
):
    found = transformers.GPT2Model.from_pretrained(model_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    name = "twinsae.sae.evaluation.causal_model.load_language_model"
    monkeypatch.setattr(name, lambda _name: (found, tokenizer))
    with pytest.raises(ValueError, match=r"predicts no next token: expected a causal language"):
        evaluate_model({"s": perfect(D)}, config)


def test_an_sae_that_gives_nan_is_named(config: HarvestConfig, constant: Callable):
    broken = constant(torch.full((D,), float("nan")))
    with pytest.raises(ValueError, match=r"^broken: the reconstruction of token 0 is NaN or inf"):
        evaluate_model({"broken": broken}, config)


def test_a_model_that_gives_nan_is_told_where(
    config: HarvestConfig, perfect: Callable[[int], SAE], tmp_path: Path
):
    model = transformers.GPT2LMHeadModel.from_pretrained(config.model)
    model.transformer.wte.weight.data[3] = float("nan")  # the letter d
    model.save_pretrained(tmp_path / "broken")
    tokenizer = transformers.AutoTokenizer.from_pretrained(config.model)
    tokenizer.save_pretrained(tmp_path / "broken")
    (tmp_path / "text.txt").write_text("abcabcabcdabc")
    # A mask of 0 does not hide a NaN from the positions before it.
    message = r"^h.0.mlp gave a NaN or infinite activation at position 0 of a sequence$"
    with pytest.raises(ValueError, match=message):
        evaluate_model({"s": perfect(D)}, replace(config, model=str(tmp_path / "broken")))
