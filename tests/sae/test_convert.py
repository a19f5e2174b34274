import pytest
import safetensors.torch
import torch
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.convert import convert
from twinsae.sae.formats.registry import FORMATS


def make(**settings):
    sae = SAE(SAEConfig(d_in=5, num_latents=8, k=2, **settings), seed=1)
    with torch.no_grad():
        sae.b_dec.normal_()
        sae.encoder.bias.normal_()
    return sae


def same(a, b):
    x = torch.randn(9, 5)
    torch.testing.assert_close(a(x).reconstruction, b(x).reconstruction, rtol=1e-5, atol=1e-5)


def test_one_sae(tmp_path):
    sae = make(normalize_decoder=False)
    save_sae(sae, tmp_path / "a")
    ((source, target, left),) = convert(tmp_path / "a", tmp_path / "b", "saelens")
    assert (source, target, left) == (tmp_path / "a", tmp_path / "b", ())
    same(load_sae(tmp_path / "b"), sae)


def test_what_is_left_behind_is_named(tmp_path):
    sae = make(transcode=True)
    save_sae(sae, tmp_path / "a")
    fired = {"fired": torch.zeros(8, dtype=torch.int64)}
    safetensors.torch.save_file(fired, tmp_path / "a" / "latents.safetensors")
    (done,) = convert(tmp_path / "a", tmp_path / "b", "dictionary_learning")
    assert done.left == ("transcode = True: now False", "file latents.safetensors")
    same(load_sae(tmp_path / "b"), sae)
    (done,) = convert(tmp_path / "a", tmp_path / "c", "saelens")
    assert done.left[0] == "normalize_decoder = True: now False"


@pytest.mark.parametrize("to", ["sparsify", "arrays"])
def test_all_saes_below_a_folder(tmp_path, to):
    names = ["h.0/seed0", "h.0/seed1", "layers.3.mlp"]
    for name in names:
        FORMATS["saelens"].save(make().stored(), tmp_path / "run" / name)
    done = convert(tmp_path / "run", tmp_path / "new", to)
    suffix = FORMATS[to].suffix
    assert [each.target for each in done] == [
        tmp_path / "new" / f"{name}{suffix}" for name in names
    ]
    for name in names:
        same(load_sae(tmp_path / "new" / f"{name}{suffix}"), load_sae(tmp_path / "run" / name))


def test_what_has_no_place_is_refused_before_anything_is_written(tmp_path):
    save_sae(make(skip_connection=True), tmp_path / "a")
    with pytest.raises(ValueError, match=r"skip_connection = True has no place in SAELens"):
        convert(tmp_path / "a", tmp_path / "b", "saelens")
    assert not (tmp_path / "b").exists()


def test_no_sae_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no SAE folder"):
        convert(tmp_path, tmp_path / "b", "native")


@pytest.mark.parametrize("to", ["saelens", "dictionary_learning", "arrays"])
@pytest.mark.parametrize("activation", ["gated", "batch_topk", "jumprelu", "topk"])
def test_what_was_trained_computes_the_same_in_other_formats(tmp_path, activation, to):
    prefixes = (3, 8) if activation in ("topk", "batch_topk") else ()
    sae = make(activation=activation, normalize_decoder=False, prefixes=prefixes)
    with torch.no_grad():
        for name in ("r_mag", "mag_bias"):
            if getattr(sae, name) is not None:
                getattr(sae, name).normal_()
        if sae.threshold is not None:
            sae.threshold.fill_(0.2)
    save_sae(sae, tmp_path / "a")
    loaded = load_sae(tmp_path / "a")
    assert loaded.config == sae.config
    same(loaded, sae)
    target = tmp_path / ("b.safetensors" if to == "arrays" else "b")
    convert(tmp_path / "a", target, to)
    same(load_sae(target), sae)
