"""Our measures and those of SAELens' and dictionary_learning's own evaluations."""

from pathlib import Path

import pytest
import sae_lens
import torch
from dictionary_learning.dictionary import AutoEncoder
from dictionary_learning.evaluation import evaluate
from sae_lens.evals import ExplainedVarianceCalculator, get_recons_loss
from sae_lens.load_model import HookedProxyLM
from sae_lens.training.activation_scaler import ActivationScaler
from torch import Tensor
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.activations import HarvestConfig, load_language_model
from twinsae.sae.convert import convert
from twinsae.sae.evaluation import evaluate_model, measure

pytestmark = pytest.mark.peers
D, CONTEXT = 12, 16  # of `model_folder`


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(26, (6 * CONTEXT,), generator=generator)
    (tmp_path / "text.txt").write_text("".join(chr(97 + int(n)) for n in numbers))
    return tmp_path / "text.txt"


def test_losses_with_an_sae_are_saelens(model_folder: Path, letters: Path, tmp_path: Path):
    sae = SAE(SAEConfig(D, 40, k=4), seed=0)
    save_sae(sae, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", "saelens")
    config = HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.1.mlp",),
        text=str(letters),
        tokens=6 * CONTEXT,
        context=CONTEXT,
        dtype="float32",
        skip_first=False,
    )
    found = evaluate_model({"sae": sae}, config).spliced["sae"]
    model, tokenizer = load_language_model(str(model_folder))
    hook = "transformer.h.1.mlp"
    theirs = get_recons_loss(
        sae_lens.SAE.load_from_disk(tmp_path / "theirs"),
        HookedProxyLM(model, tokenizer, [hook]),
        ActivationScaler(),
        torch.tensor([ord(letter) - 97 for letter in letters.read_text()]).reshape(6, CONTEXT),
        compute_kl=True,
        compute_ce_loss=True,
        hook_name=hook,
    )
    # They count the KL of each sequence's last position, too.
    for key, ours in {
        "ce_loss_without_sae": found.ce_original,
        "ce_loss_with_sae": found.ce_sae,
        "ce_loss_with_ablation": found.ce_zero,
        "kl_div_with_sae": found.kl_sae,
        "kl_div_with_ablation": found.kl_zero,
    }.items():
        expected = theirs[key][:, : CONTEXT - 1].double().mean()
        assert ours == pytest.approx(float(expected), rel=1e-4, abs=1e-7), key
    assert found.kl_sae != found.kl_zero


@pytest.fixture
def batches(x: Tensor) -> list[Tensor]:
    return list(x.split(20))


def test_explained_variance_is_saelens(batches: list[Tensor]):
    sae = SAE(SAEConfig(D, 40, k=4), seed=0)
    theirs = ExplainedVarianceCalculator()
    with torch.no_grad():
        for batch in batches:
            theirs.add_batch(sae(batch).reconstruction, batch)
    found = measure({"sae": sae}, [(batch, batch) for batch in batches])["sae"]
    assert found.explained_variance == pytest.approx(theirs.compute(), rel=1e-6)


def test_measures_are_dictionary_learnings(x: Tensor, randomise, tmp_path: Path):
    theirs = AutoEncoder(D, 40)
    randomise(theirs)
    theirs.encoder.bias.data -= 4  # some latents are dead
    (tmp_path / "sae").mkdir()
    torch.save(theirs.state_dict(), tmp_path / "sae/ae.pt")
    (tmp_path / "sae/config.json").write_text('{"trainer": {"dict_class": "AutoEncoder"}}')
    sae = load_sae(tmp_path / "sae")
    # Theirs are means over batches of ratios: of one batch they are the ratios.
    expected = evaluate(theirs, iter([x]))
    found = measure({"sae": sae}, [(x, x)])["sae"]
    for key, ours in {
        "frac_variance_explained": found.frac_variance_explained,
        "cossim": found.cosine,
        "relative_reconstruction_bias": found.relative_reconstruction_bias,
        "l0": found.l0,
        "frac_alive": 1 - found.dead,
    }.items():
        assert ours == pytest.approx(expected[key], rel=1e-5), key
    assert 0 < found.dead < 1
