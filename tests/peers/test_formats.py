"""What the peers save, we read with their numbers; what we save, they read with ours."""

import json

import dictionary_learning.utils
import pytest
import sae_lens
import torch
from dictionary_learning import dictionary
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from sae_lens.loading.pretrained_sae_loaders import sparsify_disk_loader
from sparsify import SparseCoder, SparseCoderConfig
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.convert import convert
from twinsae.sae.formats.registry import FORMATS

pytestmark = pytest.mark.peers
D, L, K = 12, 30, 5
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def make(randomise):
    """Our SAE, with settings."""

    def make(**settings):
        sae = SAE(SAEConfig(d_in=D, num_latents=L, k=K, **settings))
        randomise(sae)
        return sae

    return make


@pytest.fixture
def check(x, dense):
    """Compare our codes and reconstruction with a peer's."""

    def check(sae, codes, out):
        torch.testing.assert_close(dense(sae, x), codes, **CLOSE)
        torch.testing.assert_close(sae(x).reconstruction, out, **CLOSE)

    return check


def sparsify_numbers(coder, x):
    out = coder(x)
    codes = torch.zeros(len(x), L).scatter(1, out.latent_indices, out.latent_acts)
    return codes, out.sae_out


SPARSIFY = [
    {},
    {"num_latents": 0, "expansion_factor": 3},
    {"activation": "groupmax"},
    {"transcode": True},
    {"skip_connection": True, "transcode": True},
    {"normalize_decoder": False},
]


@pytest.mark.parametrize("settings", SPARSIFY)
def test_sparsify_both_ways(tmp_path, x, check, randomise, settings):
    if "num_latents" in settings:
        coder = SparseCoder(D, SparseCoderConfig(k=K, **settings))
        coder.save_to_disk(tmp_path / "theirs")
        assert load_sae(tmp_path / "theirs").config.num_latents == 3 * D
        return
    coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K, **settings))
    randomise(coder)
    coder.save_to_disk(tmp_path / "theirs")
    sae = load_sae(tmp_path / "theirs")
    check(sae, *sparsify_numbers(coder, x))
    for name in ("sparsify", "native"):
        FORMATS[name].save(sae.stored(), tmp_path / name)
        check(sae, *sparsify_numbers(SparseCoder.load_from_disk(tmp_path / name), x))


def test_sparsify_refuses_our_own_kinds(tmp_path, x, make):
    save_sae(make(normalization="layer_norm"), tmp_path)
    with pytest.raises(Exception, match=r"[Aa]ctivation|twinsae\.topk"):
        SparseCoder.load_from_disk(tmp_path)(x)


def saelens_numbers(sae, x):
    codes = sae.encode(x)
    return codes, sae.decode(codes)


@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("architecture", ["topk", "standard", "jumprelu"])
def test_saelens_both_ways(tmp_path, x, check, randomise, architecture, subtract, normalize):
    kind, config = sae_lens.registry.get_sae_class(architecture)
    settings = {"k": K, "rescale_acts_by_decoder_norm": True} if architecture == "topk" else {}
    theirs = kind(
        config(D, L, apply_b_dec_to_input=subtract, normalize_activations=normalize, **settings)
    )
    randomise(theirs)
    theirs.save_model(tmp_path / "theirs")
    codes, out = saelens_numbers(theirs, x)
    sae = load_sae(tmp_path / "theirs")
    check(sae, codes, out)
    FORMATS["saelens"].save(sae.stored(), tmp_path / "ours")
    check(sae, *saelens_numbers(sae_lens.SAE.load_from_disk(tmp_path / "ours"), x))


def test_saelens_checkpoints_and_inference_folders_agree(tmp_path, x, check, randomise):
    config = sae_lens.TopKTrainingSAEConfig(d_in=D, d_sae=L, k=K)
    training = sae_lens.TopKTrainingSAE(config)
    randomise(training)
    training.save_model(tmp_path / "checkpoint")
    training.save_inference_model(tmp_path / "inference")
    inference = sae_lens.SAE.load_from_disk(tmp_path / "inference")
    for folder in ("checkpoint", "inference"):
        check(load_sae(tmp_path / folder), *saelens_numbers(inference, x))


def test_batch_topk_of_saelens_is_a_jumprelu(tmp_path, x, check, randomise):
    config = sae_lens.BatchTopKTrainingSAEConfig(d_in=D, d_sae=L, k=K)
    training = sae_lens.BatchTopKTrainingSAE(config)
    randomise(training)
    training.topk_threshold.fill_(0.8)
    training.save_inference_model(tmp_path)
    check(load_sae(tmp_path), *saelens_numbers(sae_lens.SAE.load_from_disk(tmp_path), x))


def test_saelens_misreads_sparsify_but_not_what_we_make_of_it(tmp_path, x, check, randomise):
    """SAELens 6.54 turns sparsify's decoder, which is (L, D) already."""
    coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K))
    randomise(coder)
    coder.save_to_disk(tmp_path / "layers.0")
    _, state = sparsify_disk_loader(tmp_path / "layers.0")
    assert state["W_dec"].shape == (D, L)
    convert(tmp_path / "layers.0", tmp_path / "new", "saelens")
    there = sae_lens.SAE.load_from_disk(tmp_path / "new")
    codes, out = saelens_numbers(there, x)
    expected = sparsify_numbers(coder, x)
    torch.testing.assert_close(codes, expected[0], **CLOSE)
    torch.testing.assert_close(out, expected[1], **CLOSE)
    convert(tmp_path / "new", tmp_path / "back", "sparsify")
    check(
        load_sae(tmp_path / "new"),
        *sparsify_numbers(SparseCoder.load_from_disk(tmp_path / "back"), x),
    )


def dictionary_numbers(ae, x):
    codes = ae.encode(x)
    return codes, ae.decode(codes)


def read_dictionary(folder):
    ae, _ = dictionary_learning.utils.load_dictionary(str(folder), device="cpu")
    return ae


def write_dictionary(ae, folder):
    folder.mkdir()
    torch.save(ae.state_dict(), folder / "ae.pt")
    trainer = {"dict_class": type(ae).__name__, "k": K}
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))


@pytest.mark.parametrize(
    "build",
    [
        lambda: AutoEncoderTopK(D, L, K),
        lambda: BatchTopKSAE(D, L, K),
        lambda: MatryoshkaBatchTopKSAE(D, L, K, [10, 20]),
        lambda: dictionary.AutoEncoder(D, L),
        lambda: dictionary.AutoEncoderNew(D, L),
        lambda: dictionary.JumpReluAutoEncoder(D, L),
    ],
    ids=["topk", "batch topk", "matryoshka", "standard", "new", "jumprelu"],
)
@pytest.mark.parametrize("threshold", [-1.0, 0.6])
def test_dictionary_learning_both_ways(tmp_path, x, check, randomise, build, threshold):
    ae = build()
    randomise(ae)
    if hasattr(ae, "k"):
        ae.threshold.fill_(threshold)
    write_dictionary(ae, tmp_path / "theirs")
    sae = load_sae(tmp_path / "theirs")
    check(sae, *dictionary_numbers(read_dictionary(tmp_path / "theirs"), x))
    FORMATS["dictionary_learning"].save(sae.stored(), tmp_path / "ours")
    check(sae, *dictionary_numbers(read_dictionary(tmp_path / "ours"), x))


@pytest.mark.parametrize(
    "settings",
    [{}, {"transcode": True}, {"activation": "relu"}, {"activation": "jumprelu"}],
    ids=["topk", "transcode", "relu", "jumprelu"],
)
def test_one_sae_is_the_same_at_every_peer(tmp_path, x, make, check, settings):
    sae = make(**settings)
    FORMATS["saelens"].save(sae.stored(), tmp_path / "saelens")
    check(sae, *saelens_numbers(sae_lens.SAE.load_from_disk(tmp_path / "saelens"), x))
    FORMATS["dictionary_learning"].save(sae.stored(), tmp_path / "dl")
    check(sae, *dictionary_numbers(read_dictionary(tmp_path / "dl"), x))
    if "activation" not in settings:
        FORMATS["sparsify"].save(sae.stored(), tmp_path / "sparsify")
        check(sae, *sparsify_numbers(SparseCoder.load_from_disk(tmp_path / "sparsify"), x))
