"""Each layout, written by hand as its owner writes it, against that owner's formulas in float64."""

import json

import pytest
import safetensors.torch
import torch
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.formats.paths import find_saes
from twinsae.sae.formats.registry import FORMATS, find_family, load
from twinsae.sae.formats.source import Source

N, D, L, K = 40, 6, 15, 3


@pytest.fixture
def p():
    """The parts of an SAE: E and W (L, D), b (L,), c = b_dec (D,), t (L,), S (D, D)."""
    g = torch.Generator().manual_seed(4)
    shapes = {"E": (L, D), "W": (L, D), "b": (L,), "c": (D,), "S": (D, D)}
    parts = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    return parts | {"t": torch.rand(L, generator=g)}


@pytest.fixture
def x():
    return 2 * torch.randn(N, D, generator=torch.Generator().manual_seed(9)) + 1


def topk(scores, k=K):
    best = scores.relu().topk(k, dim=1)
    return torch.zeros_like(scores).scatter(1, best.indices, best.values)


def expected(p, x, activation=topk, *, subtract=True, norm=None, skip=False):
    """Codes (N, L) and reconstruction (N, D), dense and in float64."""
    p, x = {name: part.double() for name, part in p.items()}, x.double()
    scale, shift = 1.0, 0.0
    rows = x
    if norm == "layer_norm":
        shift, scale = x.mean(1, keepdim=True), x.std(1, keepdim=True)
        rows = (x - shift) / (scale + 1e-5)
    if norm == "constant":
        scale = x.norm(dim=1, keepdim=True) / D**0.5
        rows = x / scale
    codes = activation((rows - p["c"] * subtract) @ p["E"].T + p["b"])
    out = (codes @ p["W"] + p["c"]) * scale + shift
    return codes, out + x @ p["S"].T if skip else out


def check(sae, x, codes, out):
    top = sae.encode(x)
    found = torch.zeros(N, L + 1).scatter(1, top.indices.where(top.indices >= 0, L), top.values)
    torch.testing.assert_close(found[:, :L].double(), codes, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sae(x).reconstruction.double(), out, rtol=1e-5, atol=1e-5)


def make(p, **settings):
    sae = SAE(SAEConfig(D, L, k=K, **settings))
    parts = {"encoder.weight": "E", "encoder.bias": "b", "W_dec": "W", "b_dec": "c"}
    parts |= {"threshold": "t", "W_skip": "S"}
    for name, parameter in sae.named_parameters():
        parameter.data = p[parts[name]].clone()
    return sae


def jump(p):
    return lambda s: s.relu() * (s > p["t"].double())


def groupmax(scores):
    best, place = scores.relu().unflatten(1, (K, -1)).max(2)
    return torch.zeros_like(scores).scatter(1, place + torch.arange(0, L, L // K), best)


# sparsify


def write_sparsify(folder, p, *, skip=False, **cfg):
    folder.mkdir(parents=True)
    tensors = {"encoder.weight": p["E"], "encoder.bias": p["b"], "W_dec": p["W"], "b_dec": p["c"]}
    safetensors.torch.save_file(
        tensors | ({"W_skip": p["S"]} if skip else {}), folder / "sae.safetensors"
    )
    base = {"expansion_factor": 32, "normalize_decoder": True, "num_latents": L, "k": K, "d_in": D}
    (folder / "cfg.json").write_text(json.dumps(base | cfg))
    return folder


def test_sparsify_old_and_new(tmp_path, p, x):
    check(load_sae(write_sparsify(tmp_path / "old", p, signed=False)), x, *expected(p, x))
    new = {"activation": "topk", "multi_topk": True, "skip_connection": False, "transcode": False}
    loaded = load(write_sparsify(tmp_path / "new", p, **new))
    check(SAE.from_stored(loaded), x, *expected(p, x))
    assert loaded.left == ("multi_topk = True",)
    part = write_sparsify(tmp_path / "group", p, activation="groupmax")
    check(load_sae(part), x, *expected(p, x, groupmax))


def test_sparsify_transcoders_and_skips(tmp_path, p, x):
    folder = write_sparsify(tmp_path / "a", p, skip=True, skip_connection=True, transcode=True)
    check(load_sae(folder), x, *expected(p, x, subtract=False, skip=True))


@pytest.mark.parametrize("transposed", [False, True])
def test_sparsifys_first_names(tmp_path, p, x, transposed):
    folder = write_sparsify(tmp_path / "a", p)
    W_enc = p["E"].T.contiguous() if transposed else p["E"]
    tensors = {"W_enc": W_enc, "b_enc": p["b"], "W_dec": p["W"], "b_dec": p["c"]}
    safetensors.torch.save_file(tensors, folder / "sae.safetensors")
    check(load_sae(folder), x, *expected(p, x))


def test_a_square_encoder_is_not_turned(tmp_path):
    square = {
        "E": torch.randn(D, D),
        "W": torch.randn(D, D),
        "b": torch.ones(D),
        "c": torch.ones(D),
    }
    folder = write_sparsify(tmp_path / "a", square, num_latents=D)
    assert torch.equal(load_sae(folder).encoder.weight, square["E"])


def test_several_hookpoints_and_seeds_are_found_and_named(tmp_path, p):
    names = ["h.0/seed0", "h.0/seed1", "layers.6.mlp"]
    for name in names:
        write_sparsify(tmp_path / name, p)
    assert find_saes(tmp_path) == [tmp_path / name for name in names]
    with pytest.raises(
        FileNotFoundError, match=r"below it: h\.0/seed0, h\.0/seed1, layers\.6\.mlp"
    ):
        load_sae(tmp_path)


# SAELens


def write_saelens(folder, p, *, threshold=False, **cfg):
    folder.mkdir(parents=True)
    tensors = {"W_enc": p["E"].T.contiguous(), "b_enc": p["b"], "W_dec": p["W"], "b_dec": p["c"]}
    tensors |= {"threshold": p["t"]} if threshold else {}
    safetensors.torch.save_file(tensors, folder / "sae_weights.safetensors")
    metadata = {"sae_lens_version": "6.54.12", "model_name": "gpt2"}
    base = {"architecture": "topk", "d_in": D, "d_sae": L, "k": K, "dtype": "float32"}
    base |= {"normalize_activations": "none", "metadata": metadata}
    (folder / "cfg.json").write_text(json.dumps(base | cfg))
    return folder


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize(
    ("theirs", "norm"),
    [("none", None), ("layer_norm", "layer_norm"), ("constant_norm_rescale", "constant")],
)
def test_saelens_topk(tmp_path, p, x, subtract, theirs, norm):
    folder = write_saelens(
        tmp_path / "a", p, normalize_activations=theirs, apply_b_dec_to_input=subtract
    )
    assert find_family(Source(folder)).name == "saelens"
    loaded = load(folder)
    check(SAE.from_stored(loaded), x, *expected(p, x, subtract=subtract, norm=norm))
    assert loaded.left == ("model_name = gpt2",)


def test_saelens_subtracts_b_dec_unless_told(tmp_path, p, x):
    check(load_sae(write_saelens(tmp_path / "a", p)), x, *expected(p, x))


def test_saelens_jumprelu_and_standard(tmp_path, p, x):
    folder = write_saelens(tmp_path / "jump", p, threshold=True, architecture="jumprelu")
    check(load_sae(folder), x, *expected(p, x, jump(p)))
    folder = write_saelens(tmp_path / "relu", p, architecture="standard")
    check(load_sae(folder), x, *expected(p, x, torch.relu))


def test_saelens_norms_are_folded(tmp_path, p, x):
    folder = write_saelens(tmp_path / "a", p, rescale_acts_by_decoder_norm=True)
    norms = p["W"].double().norm(dim=1)
    codes = topk(((x - p["c"]).double() @ p["E"].T.double() + p["b"]) * norms)
    out = (codes / norms) @ p["W"].double() + p["c"]
    check(load_sae(folder), x, codes, out)
    p["W"][4] = 0
    folder = write_saelens(tmp_path / "zero", p, rescale_acts_by_decoder_norm=True)
    assert load_sae(folder)(x).reconstruction.isfinite().all()


def test_a_factor_that_training_had_not_folded_yet_is_folded(tmp_path, p, x):
    folder = write_saelens(tmp_path / "a", p, normalize_activations="expected_average_only_in")
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 0.5}')
    codes, out = expected(p, 0.5 * x)
    check(load_sae(folder), x, codes, out / 0.5)
    assert not any("no factor" in what for what in load(folder).left)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": null}')
    check(load_sae(folder), x, *expected(p, x))
    assert any("no factor is known" in what for what in load(folder).left)
    # What only SAELens' registry knows.
    scaled = load(folder, scaling=0.5)
    check(SAE.from_stored(scaled), x, codes, out / 0.5)
    assert not any("no factor" in what for what in scaled.left)
    overridden = load(folder, overrides={"normalize_activations": "layer_norm"})
    assert overridden.config.normalization == "layer_norm"


def test_saelens_before_version_6(tmp_path, p, x):
    folder = write_saelens(tmp_path / "a", p)
    flat = {"d_in": D, "d_sae": L, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    flat |= {"hook_point": "blocks.8.hook_resid_pre", "normalize_activations": False}
    (folder / "cfg.json").write_text(json.dumps(flat))
    loaded = load(folder)
    check(SAE.from_stored(loaded), x, *expected(p, x))
    assert loaded.left == ("hook_point = blocks.8.hook_resid_pre",)
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "d_sae": L, "activation_fn": "relu"}))
    check(load_sae(folder), x, *expected(p, x, torch.relu))


@pytest.mark.parametrize(
    "cfg",
    [{"architecture": "temporal"}, {"normalize_activations": "covariance_whitening"}],
)
def test_what_saelens_has_and_we_have_not_is_refused_by_name(tmp_path, p, cfg):
    ((name, value),) = cfg.items()
    with pytest.raises(ValueError, match=f"cfg.json: {name} = '{value}' is not supported"):
        load_sae(write_saelens(tmp_path / "a", p, **cfg))


def test_a_scaling_factor_of_finetuning_is_refused_unless_one(tmp_path, p):
    folder = write_saelens(tmp_path / "a", p)
    path = folder / "sae_weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors | {"scaling_factor": torch.ones(L)}, path)
    load_sae(folder)
    safetensors.torch.save_file(tensors | {"scaling_factor": torch.full((L,), 2.0)}, path)
    with pytest.raises(ValueError, match="scaling_factor is not supported"):
        load_sae(folder)


# dictionary_learning


def write_dictionary(folder, state, **trainer):
    folder.mkdir(parents=True)
    torch.save(state, folder / "ae.pt")
    if trainer:
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    return folder


def linear(p, threshold=-1.0):
    return {
        "encoder.weight": p["E"],
        "encoder.bias": p["b"],
        "decoder.weight": p["W"].T,
        "b_dec": p["c"],
        "k": torch.tensor(K, dtype=torch.int32),
        "threshold": torch.tensor(threshold),
    }


def test_dictionary_learning_topk(tmp_path, p, x):
    folder = write_dictionary(tmp_path / "a", linear(p), dict_class="AutoEncoderTopK", k=K, layer=3)
    loaded = load(folder)
    check(SAE.from_stored(loaded), x, *expected(p, x))
    assert loaded.left == ("layer = 3",)
    state = linear(p, threshold=0.5)
    (folder / "checkpoints").mkdir()
    torch.save(state, folder / "checkpoints" / "ae_10.pt")
    loaded = load(folder / "checkpoints" / "ae_10.pt")
    check(SAE.from_stored(loaded), x, *expected(p, x))
    assert loaded.left == ("threshold = 0.5", "layer = 3")


def test_the_class_is_inferred_and_that_is_said(tmp_path, p, x):
    loaded = load(write_dictionary(tmp_path / "a", linear(p)))
    check(SAE.from_stored(loaded), x, *expected(p, x))
    assert loaded.left == ("the class: config.json is missing, AutoEncoderTopK is assumed",)


@pytest.mark.parametrize("threshold", [-1.0, 0.7])
def test_batch_topk_works_by_its_threshold_once_trained(tmp_path, p, x, threshold):
    state = linear(p, threshold)
    folder = write_dictionary(tmp_path / "a", state, dict_class="BatchTopKSAE", k=K)
    rule = lambda s: s.relu() * (s.relu() > threshold)  # noqa: E731
    check(load_sae(folder), x, *expected(p, x, rule))
    matryoshka = {"W_enc": p["E"].T, "b_enc": p["b"], "W_dec": p["W"], "b_dec": p["c"]}
    matryoshka |= {name: state[name] for name in ("k", "threshold")}
    matryoshka["group_sizes"] = torch.tensor([5, 10])
    check(load_sae(write_dictionary(tmp_path / "b", matryoshka)), x, *expected(p, x, rule))


def test_other_classes_of_dictionary_learning(tmp_path, p, x):
    state = {"W_enc": p["E"].T, "b_enc": p["b"], "W_dec": p["W"], "b_dec": p["c"]}
    folder = write_dictionary(tmp_path / "jump", state | {"threshold": p["t"]})
    check(load_sae(folder), x, *expected(p, x, jump(p), subtract=False))
    state = {"encoder.weight": p["E"], "encoder.bias": p["b"], "decoder.weight": p["W"].T}
    folder = write_dictionary(tmp_path / "new", state | {"decoder.bias": p["c"]})
    check(load_sae(folder), x, *expected(p, x, torch.relu, subtract=False))
    folder = write_dictionary(tmp_path / "old", state | {"bias": p["c"]})
    codes, out = expected(p, x, torch.relu)
    check(load_sae(folder), x, codes * p["W"].double().norm(dim=1), out)  # as from_pretrained does


def test_an_unknown_class_is_refused(tmp_path, p):
    with pytest.raises(ValueError, match="dict_class = 'CrossCoder' is not supported"):
        load_sae(write_dictionary(tmp_path / "a", linear(p), dict_class="CrossCoder"))
    with pytest.raises(ValueError, match="is of no known class; it holds: what"):
        load_sae(write_dictionary(tmp_path / "b", {"what": p["E"]}))


# openai


def write_openai(path, p, activation, **settings):
    state = {
        "pre_bias": p["c"],
        "latent_bias": p["b"],
        "encoder.weight": p["E"],
        "decoder.weight": p["W"].T,
        "stats_last_nonzero": torch.zeros(L, dtype=torch.int64),
        "activation": activation,
        "activation_state_dict": settings,
    }
    torch.save(state, path)
    return path


def test_openai(tmp_path, p, x):
    path = write_openai(tmp_path / "6.pt", p, "TopK", k=K, postact_fn="ReLU")
    assert find_family(Source(path)).name == "openai"
    loaded = load(path)
    check(SAE.from_stored(loaded), x, *expected(p, x, norm="layer_norm"))
    assert loaded.left == ("tensor stats_last_nonzero",)
    check(load_sae(write_openai(tmp_path / "7.pt", p, "ReLU")), x, *expected(p, x, torch.relu))
    for activation, after in (("Identity", "ReLU"), ("TopK", "Identity")):
        path = write_openai(tmp_path / "8.pt", p, activation, k=K, postact_fn=after)
        with pytest.raises(ValueError, match=f"activation = '{activation}', '{after}'"):
            load_sae(path)


def test_openais_flat_keys(tmp_path, p, x):
    path = write_openai(tmp_path / "6.pt", p, "TopK")
    state = torch.load(path)
    del state["activation_state_dict"]
    torch.save(state | {"activation.k": torch.tensor(K), "activation.postact_fn": "ReLU"}, path)
    check(load_sae(path), x, *expected(p, x, norm="layer_norm"))


# bare arrays


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_arrays_by_their_names(tmp_path, p, x, suffix):
    path = tmp_path / f"a{suffix}"
    FORMATS["arrays"].save(make(p, normalize_decoder=False).stored(), path)
    check(load_sae(path), x, *expected(p, x))
    FORMATS["arrays"].save(make(p, activation="jumprelu", skip_connection=True).stored(), path)
    check(load_sae(path), x, *expected(p, x, jump(p), skip=True))


def test_arrays_need_to_tell_what_is_active(tmp_path, p, x):
    arrays = {"W_enc": p["E"].T.contiguous(), "W_dec": p["W"]}
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(arrays, path)
    with pytest.raises(ValueError, match="has neither 'k' nor 'threshold'"):
        load_sae(path)
    safetensors.torch.save_file(arrays | {"k": torch.tensor(K)}, path)
    nothing = {"b": torch.zeros(L), "c": torch.zeros(D)}
    with pytest.raises(ValueError, match=r"nothing tells whether rows or columns of 'W_dec'"):
        load_sae(path)
    check(load_sae(path, orientation="DL/LD"), x, *expected(p | nothing, x))


# to and fro

EVERY = {
    "topk": {},
    "transcode": {"transcode": True},
    "skip": {"skip_connection": True},
    "groupmax": {"activation": "groupmax"},
    "relu": {"activation": "relu"},
    "jumprelu": {"activation": "jumprelu"},
    "jumprelu transcode": {"activation": "jumprelu", "transcode": True},
    "layer norm": {"normalization": "layer_norm"},
    "constant norm": {"normalization": "constant_norm"},
    "relu, layer norm": {"activation": "relu", "normalization": "layer_norm"},
}
# What each format has no place for, by the setting that its message names.
REFUSED = {
    "native": {},
    "sparsify": {
        "relu": "activation",
        "jumprelu": "activation",
        "jumprelu transcode": "activation",
        "layer norm": "normalization",
        "constant norm": "normalization",
        "relu, layer norm": "activation",
    },
    "saelens": {"groupmax": "activation", "skip": "skip_connection"},
    "dictionary_learning": {
        "groupmax": "activation",
        "skip": "skip_connection",
        "layer norm": "normalization",
        "constant norm": "normalization",
        "relu, layer norm": "normalization",
    },
    "openai": {
        "topk": "normalization",
        "transcode": "normalization",
        "skip": "skip_connection",
        "groupmax": "activation",
        "jumprelu": "activation",
        "jumprelu transcode": "activation",
        "constant norm": "normalization",
        "relu, layer norm": "normalization",
    },
    "arrays": {
        "transcode": "transcode",
        "groupmax": "activation",
        "relu": "activation",
        "jumprelu transcode": "transcode",
        "layer norm": "normalization",
        "constant norm": "normalization",
        "relu, layer norm": "activation",
    },
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("to", FORMATS)
def test_what_is_saved_computes_the_same_or_is_refused(tmp_path, p, x, to, kind):
    sae = make(p, **EVERY[kind])
    path = tmp_path / f"there{FORMATS[to].suffix}"
    if kind in REFUSED[to]:
        with pytest.raises(ValueError, match=f"^{REFUSED[to][kind]} = "):
            FORMATS[to].save(sae.stored(), path)
        assert not path.exists()
        return
    FORMATS[to].save(sae.stored(), path)
    again = load_sae(path)
    top = sae.encode(x)
    codes = torch.zeros(N, L + 1).scatter(1, top.indices.where(top.indices >= 0, L), top.values)
    check(again, x, codes[:, :L].double(), sae(x).reconstruction.double())


def test_sparsify_refuses_what_it_would_misread(tmp_path, p):
    """It ignores keys that it does not know, but no activation that it does not know."""
    for settings in (EVERY["layer norm"], EVERY["jumprelu"]):
        save_sae(make(p, **settings), tmp_path)
        activation = json.loads((tmp_path / "cfg.json").read_text())["activation"]
        assert activation not in ("topk", "groupmax")


def test_paths_of_no_format_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="b does not exist"):
        load_sae(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="SAEs below it: none"):
        load_sae(tmp_path)
    (tmp_path / "c.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"c\.npy holds one array, but an SAE has several"):
        load_sae(tmp_path / "c.npy")
