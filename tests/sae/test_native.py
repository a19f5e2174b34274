import json
import re

import pytest
import safetensors.torch
import torch
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae

CONFIG = SAEConfig(d_in=5, num_latents=15, k=3)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    sae = SAE(CONFIG, seed=1)
    with torch.no_grad():
        sae.b_dec.normal_()
        sae.encoder.bias.normal_()
    save_sae(sae, tmp_path / "sae")
    return tmp_path / "sae"


def change(folder, **cfg):
    path = folder / "cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **cfg}))


def test_the_layout_is_that_of_sparsify(folder):
    assert json.loads((folder / "cfg.json").read_text()) == {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": 15,
        "k": 3,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": 5,
    }
    tensors = safetensors.torch.load_file(folder / "sae.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "encoder.weight": (15, 5),
        "encoder.bias": (15,),
        "W_dec": (15, 5),
        "b_dec": (5,),
    }


def test_a_round_trip_keeps_every_output_bit(folder):
    tensors = safetensors.torch.load_file(folder / "sae.safetensors")
    sae = load_sae(folder)
    assert sae.config == CONFIG
    assert all(torch.equal(value, tensors[name]) for name, value in sae.state_dict().items())
    save_sae(sae, folder)
    x = torch.randn(7, 5)
    for ours, theirs in zip(load_sae(folder)(x), sae(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_floating_point_dtype_is_kept(tmp_path, dtype):
    sae = SAE(CONFIG, seed=1, dtype=dtype)
    save_sae(sae, tmp_path)
    loaded = load_sae(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert torch.equal(loaded.W_dec, sae.W_dec)


def test_a_loaded_sae_can_be_trained_without_touching_its_file(folder):
    before = (folder / "sae.safetensors").read_bytes()
    sae = load_sae(folder)
    sae(torch.randn(7, 5)).fvu.backward()
    with torch.no_grad():
        sae.W_dec.sub_(sae.W_dec.grad)
    assert (folder / "sae.safetensors").read_bytes() == before


def test_num_latents_zero_and_unknown_keys_are_understood(folder):
    change(folder, num_latents=0, expansion_factor=3, who_knows=[1])
    assert load_sae(folder).config == SAEConfig(d_in=5, num_latents=15, expansion_factor=3, k=3)


def test_multi_topk_concerns_training_only(folder):
    change(folder, multi_topk=True)
    assert load_sae(folder).config == CONFIG


def test_signed_saes_take_the_largest_by_absolute_value(folder):
    plain = load_sae(folder)
    change(folder, signed=True)
    sae, x = load_sae(folder), torch.randn(9, plain.config.d_in)
    scores = (x - plain.b_dec) @ plain.encoder.weight.T + plain.encoder.bias
    best = scores.abs().topk(plain.config.k, dim=1).indices
    top = sae.encode(x)
    assert torch.equal(top.indices, best)
    torch.testing.assert_close(top.values, scores.gather(1, best))
    assert (top.values < 0).any()


def test_an_unknown_activation_is_refused(folder):
    change(folder, activation="topp")
    with pytest.raises(ValueError, match=r"cfg\.json: activation: expected one of topk, .*'topp'"):
        load_sae(folder)


@pytest.mark.parametrize(
    ("change_to", "message"),
    [
        ({"k": 16}, "k: 16 active latents of only 15"),
        ({"k": "3"}, "k must be int, not '3'"),
        ({"normalize_decoder": 1}, "normalize_decoder must be bool, not 1"),
        ({"num_latents": 16}, r"'encoder.weight' is torch.float32 \(15, 5\), but its "),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder, change_to, message):
    change(folder, **change_to)
    with pytest.raises(ValueError, match=message):
        load_sae(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_file_that_is_no_configuration_is_refused(folder, text):
    (folder / "cfg.json").write_text(text)
    with pytest.raises(ValueError, match=r"cfg\.json is no"):
        load_sae(folder)


@pytest.mark.parametrize("name", ["cfg.json", "sae.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"is no SAE folder: it has no .*{re.escape(name)}"):
        load_sae(folder)


def test_missing_or_wrong_tensors_are_named(folder):
    path = folder / "sae.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({**tensors, "b_dec": torch.zeros(5).int()}, path)
    with pytest.raises(ValueError, match=r"'b_dec' is torch.int32 \(5,\)"):
        load_sae(folder)
    del tensors["b_dec"]
    safetensors.torch.save_file({**tensors, "W_enc": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"has no tensor 'b_dec'; it holds: "):
        load_sae(folder)
