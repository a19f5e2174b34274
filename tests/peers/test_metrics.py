"""Our metrics and those that SAELens computes from all pairs."""

from pathlib import Path

import pytest
import sae_lens
import torch
from sae_lens.evals import get_featurewise_weight_based_metrics
from sae_lens.synthetic.evals import mean_correlation_coefficient
from twinsae.matching import match, pw_mcc
from twinsae.matching.criteria.metrics import alignment
from twinsae.matching.rows import StoredRows
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.convert import convert

pytestmark = pytest.mark.peers


@pytest.mark.parametrize(("num_a", "num_b"), [(60, 60), (40, 70), (70, 40)])
def test_pw_mcc_is_saelens_mean_correlation_coefficient(num_a: int, num_b: int):
    generator = torch.Generator().manual_seed(num_a)
    a, b = (torch.randn(size, 9, generator=generator).double() for size in (num_a, num_b))
    b[:30] = 0.4 * b[:30] - 3 * a[:30]  # opposite directions count as the same
    a[31], b[5] = 0, 0
    found = pw_mcc(match(a, b, absolute=True))
    assert found == pytest.approx(mean_correlation_coefficient(a, b), abs=1e-12)
    assert pw_mcc(match(a, b)) < found - 0.1


def test_alignment_is_saelens_encoder_decoder_cosine(tmp_path: Path):
    sae = SAE(SAEConfig(9, 40, k=4), seed=0)
    with torch.no_grad():
        sae.W_dec.add_(torch.randn(40, 9, generator=torch.Generator().manual_seed(1)))
    save_sae(sae, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", "saelens")
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "theirs"))
    expected = get_featurewise_weight_based_metrics(theirs)["encoder_decoder_cosine_sim"]
    rows = (StoredRows(weight.detach(), "sae") for weight in (sae.W_dec, sae.encoder.weight))
    assert alignment(*rows).tolist() == pytest.approx(expected, abs=1e-6)
