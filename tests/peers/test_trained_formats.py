"""SAEs of every architecture, trained by us and converted, at the peers' own classes."""

import dictionary_learning.utils
import pytest
import sae_lens
import torch
from sparsify import SparseCoder
from twinsae.sae import SAEConfig, TrainConfig, load_sae, train
from twinsae.sae.activations.store import open_activations
from twinsae.sae.convert import convert
from twinsae.sae.formats.tensors import save_tensors

pytestmark = pytest.mark.peers
D, L, K = 12, 60, 4
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
KINDS = {
    "topk": ("topk", {"aux": 0.03, "dead_after": 200}),
    "topk, prefixes": ("topk", {"prefixes": (10, 30, L)}),
    "batch_topk": ("batch_topk", {}),
    "batch_topk, prefixes": ("batch_topk", {"prefixes": (10, 30, L)}),
    "relu": ("relu", {}),
    "relu, free norms": ("relu", {"normalize_decoder": False}),
    "gated": ("gated", {}),
    "gated, free norms": ("gated", {"normalize_decoder": False}),
    "jumprelu": ("jumprelu", {"bandwidth": 0.5, "init_threshold": 0.1}),
    "scaled": ("relu", {"input_scale": "sqrt_d"}),
}


@pytest.fixture
def trained(x, tmp_path):
    """The folder of an SAE after 30 steps on activations like ``x``."""

    def trained(activation, settings):
        names = ("prefixes", "normalize_decoder", "transcode", "skip_connection")
        shape = {name: value for name, value in settings.items() if name in names}
        other = {name: value for name, value in settings.items() if name not in names}
        if activation in ("relu", "gated", "jumprelu"):
            other["sparsity"] = 0.3
        rows = x.repeat(30, 1)
        rows = rows + 0.3 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
        save_tensors(tmp_path / "x.safetensors", {"activations": rows})
        config = TrainConfig(seeds=(0,), batch_size=64, lr=0.01, warmup_steps=3, **other)
        sae_config = SAEConfig(D, L, k=K, activation=activation, **shape)
        train(
            open_activations(tmp_path / "x.safetensors"), tmp_path / "run", "h", sae_config, config
        )
        return tmp_path / "run" / "h" / "seed0"

    return trained


def check(sae, x, dense, codes, out):
    active = (codes != 0).float().mean()
    assert 0.01 < active < 0.9
    torch.testing.assert_close(dense(sae, x), codes, **CLOSE)
    torch.testing.assert_close(sae(x).reconstruction, out, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_saelens_and_dictionary_learning_compute_what_ours_does(trained, tmp_path, x, dense, kind):
    folder = trained(*KINDS[kind])
    sae = load_sae(folder)
    convert(folder, tmp_path / "saelens", "saelens")
    theirs = sae_lens.SAE.load_from_disk(tmp_path / "saelens")
    codes = theirs.encode(x)
    check(sae, x, dense, codes, theirs.decode(codes))
    convert(folder, tmp_path / "dl", "dictionary_learning")
    ae, _ = dictionary_learning.utils.load_dictionary(str(tmp_path / "dl"), device="cpu")
    codes = ae.encode(x)
    check(sae, x, dense, codes, ae.decode(codes))


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
def test_sparsify_computes_what_ours_does(trained, tmp_path, x, dense, activation):
    folder = trained(activation, {})
    convert(folder, tmp_path / "sparsify", "sparsify")
    out = SparseCoder.load_from_disk(tmp_path / "sparsify")(x)
    codes = torch.zeros(len(x), L).scatter(1, out.latent_indices, out.latent_acts)
    check(load_sae(folder), x, dense, codes, out.sae_out)
