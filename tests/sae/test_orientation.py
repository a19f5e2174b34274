"""Which axis counts latents: evidence decides, disagreement and silence are refused."""

import json

import numpy as np
import pytest
import torch
from twinsae.matching import match_files
from twinsae.sae import load_sae
from twinsae.sae.formats.dictionary import read_dictionary
from twinsae.sae.formats.orientation import ORIENTATIONS, Names, orient

D, L = 4, 7
NAMES = Names("W_enc", "W_dec", ("b_enc", "threshold"), ("b_dec",))
SHAPE = {"LD": (L, D), "DL": (D, L)}


def shapes(layout: str, **others: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    encoder, decoder = layout.split("/")
    return {"W_enc": SHAPE[encoder], "W_dec": SHAPE[decoder], **others}


def axes(layout: str) -> dict[str, str]:
    encoder, decoder = layout.split("/")
    rows = {"LD": "rows", "DL": "columns"}
    return {"decoder": rows[decoder], "encoder": rows[encoder]}


@pytest.mark.parametrize("layout", ORIENTATIONS)
@pytest.mark.parametrize(
    ("vectors", "names"),
    [
        ({"b_enc": (L,)}, NAMES),
        ({"threshold": (L,)}, NAMES),
        ({"b_dec": (D,)}, NAMES),  # of the encoder, by its shape beside the decoder's
        ({"b_enc": (L,), "b_dec": (D,), "threshold": (1,)}, NAMES),
        ({}, NAMES._replace(num_latents=L)),
        ({}, NAMES._replace(d_in=D)),
    ],
)
def test_any_one_piece_tells_both(layout, vectors, names):
    found = orient(shapes(layout, **vectors), names, None, "f")
    assert found.axes == axes(layout)
    assert found.evidence
    encoder, decoder = (f"({pair[0]}, {pair[1]})" for pair in layout.split("/"))
    assert found.layout == f"encoder {encoder}, decoder {decoder}"


@pytest.mark.parametrize("layout", ORIENTATIONS)
def test_the_users_word(layout):
    found = orient(shapes(layout), NAMES, layout, "f")
    assert found.axes == axes(layout)
    assert found.evidence == (f"--orientation {layout}",)
    square = {"W_enc": (D, D), "W_dec": (D, D), "b_enc": (D,), "b_dec": (D,)}
    assert orient(square, NAMES, layout, "f").axes == axes(layout)


def test_linear_layers_tell_even_if_square():
    names = Names("encoder.weight", "decoder.weight", ("encoder.bias",), ("b_dec",), linear=True)
    square = {"encoder.weight": (D, D), "decoder.weight": (D, D)}
    assert orient(square, names, None, "f").axes == {"encoder": "rows", "decoder": "columns"}
    wrong = {"encoder.weight": (D, L), "decoder.weight": (L, D), "encoder.bias": (L,)}
    with pytest.raises(
        ValueError, match=r"^f: evidence about 'decoder\.weight' \(7, 4\) disagrees"
    ):
        orient(wrong, names, None, "f")


def test_a_family_that_its_sidecar_names_decides_where_square():
    names = NAMES._replace(layout="DL/LD", family="cfg.json of SAELens")
    square = {"W_enc": (D, D), "W_dec": (D, D), "b_enc": (D,), "b_dec": (D,)}
    found = orient(square, names, None, "f")
    assert found.axes == axes("DL/LD")
    assert found.evidence == ("cfg.json of SAELens",)
    with pytest.raises(ValueError, match=r"W_dec' \(4, 7\) disagrees: b_enc \(7,\): latents are "
                       r"columns; cfg\.json of SAELens: latents are rows$"):  # fmt: skip
        orient(shapes("DL/DL", b_enc=(L,)), names, None, "f")


def test_the_users_word_must_agree_too():
    with pytest.raises(ValueError, match=r"--orientation LD/LD: latents are rows"):
        orient(shapes("DL/DL", b_dec=(D,)), NAMES, "LD/LD", "f")


@pytest.mark.parametrize(
    "found",
    [
        {"W_enc": (D, L), "W_dec": (L, D)},
        {"W_enc": (D, D), "W_dec": (D, D), "b_enc": (D,), "b_dec": (D,)},
        {"W_dec": (L, D)},
        {"W_enc": (D, D), "W_dec": (L, D), "b_dec": (D,)},
    ],
)
def test_without_evidence_it_is_refused(found):
    told = r"^f: nothing tells whether rows or columns of 'W_\w+' \(\d, \d\) are latents; say so by"
    with pytest.raises(ValueError, match=told):
        orient(found, NAMES, None, "f")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (shapes("LD/LD", b_enc=(5,)), r"'b_enc' has 5 numbers, which is neither side of 'W_dec'"),
        (shapes("LD/LD", b_enc=(D,), b_dec=(D,)), "disagrees"),
        ({"W_dec": (L, D, 2)}, r"'W_dec' must be a matrix .* not of shape \(7, 4, 2\)"),
        ({"W_dec": (0, D)}, r"'W_dec' must be a matrix"),
        ({"W_dec": (L,)}, r"'W_dec' must be a matrix"),
    ],
)
def test_what_does_not_fit_is_refused(found, told):
    with pytest.raises(ValueError, match=told):
        orient(found, NAMES, None, "f")


def test_widths_of_a_transcoder_may_differ():
    found = orient({"W_enc": (L, D), "W_dec": (L, 3), "b_enc": (L,)}, NAMES, None, "f")
    assert found.axes == axes("LD/LD")


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pt"])
def test_layouts_as_of_qwen_scope_are_matched_over_their_latents(tmp_path, ending):
    """The public report: D "latents" of width L were matched, and called proved."""
    from safetensors.torch import save_file

    rng = np.random.default_rng(0)
    paths, rows = [], []
    for name in "ab":
        W = torch.from_numpy(rng.standard_normal((200, 16))).float()
        arrays = {
            "W_enc": W.clone(), "W_dec": W.T.contiguous(),
            "b_enc": torch.zeros(200), "b_dec": torch.zeros(16),
        }  # fmt: skip
        paths.append(tmp_path / f"{name}{ending}")
        if ending == ".safetensors":
            save_file(arrays, paths[-1])
        elif ending == ".npz":
            np.savez(paths[-1], **{k: v.numpy() for k, v in arrays.items()})
        else:
            torch.save(arrays, paths[-1])
        rows.append(W)
        for side in ("decoder", "encoder"):
            assert torch.equal(read_dictionary(paths[-1], side).weight, W)
    summary = match_files(*paths, ["decoder", "encoder"], tmp_path / "out")
    facts = summary["inputs"]["a"]
    assert (facts["num_latents"], facts["d_in"]) == (200, 16)
    assert facts["layout"] == "encoder (L, D), decoder (D, L)"
    assert "b_enc (200,)" in facts["evidence"]
    sides = summary["sides"]
    assert sides["decoder"]["objective"] == pytest.approx(sides["encoder"]["objective"])


def test_a_matrix_without_evidence_needs_the_users_word(tmp_path):
    path = tmp_path / "a.npz"
    W = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    np.savez(path, W_dec=W.T, W_enc=W.T)
    with pytest.raises(ValueError, match=r"a\.npz: nothing tells whether"):
        match_files(path, path, ["decoder"], tmp_path / "out")
    summary = match_files(path, path, ["decoder"], tmp_path / "out", orientation="DL/DL")
    assert summary["inputs"]["a"]["num_latents"] == 9
    assert summary["inputs"]["a"]["evidence"] == ["--orientation DL/DL"]


def test_one_layer_of_a_crosscoder_is_chosen_by_name(tmp_path):
    from safetensors.torch import save_file

    w_dec = torch.randn(L, 3, D)
    tensors = {"w_enc": torch.randn(D, L), "w_dec": w_dec, "b_enc": torch.zeros(L)}
    tensors |= {"threshold": torch.ones(L), "b_dec": torch.zeros(3, D)}
    file = tmp_path / "params_layer_0.safetensors"
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"'w_dec' must be a matrix .* not of shape \(7, 3, 4\)"):
        read_dictionary(file, "decoder")
    for layer in range(3):
        found = read_dictionary(f"{file}#layer={layer}", "decoder")
        assert torch.equal(found.weight, w_dec[:, layer])
    assert torch.equal(read_dictionary(f"{file}#layer=1", "encoder").weight, tensors["w_enc"].T)
    with pytest.raises(ValueError, match="there is no layer 3: it has 3"):
        read_dictionary(f"{file}#layer=3", "decoder")
    with pytest.raises(ValueError, match="the codes of several layers' latents together is not"):
        load_sae(f"{file}#layer=1")
    with pytest.raises(ValueError, match=r"holds 1 layers: name one file, such as .*#layer=0"):
        read_dictionary(tmp_path, "decoder")


def test_openais_files_of_all_spellings(tmp_path):
    """The public report: a tied decoder, no k, no latent bias gave a traceback."""
    g = torch.Generator().manual_seed(0)
    E, c, b = torch.randn(L, D, generator=g), torch.randn(D, generator=g), torch.randn(L)
    core = {"pre_bias": c, "latent_bias": b, "encoder.weight": E}
    tied = core | {"decoder.linear.weight": E, "activation": "TopK"}
    torch.save(tied | {"activation_state_dict": {"k": 2.0}}, tmp_path / "tied.pt")
    sae = load_sae(tmp_path / "tied.pt")
    assert sae.config.k == 2
    assert torch.equal(sae.W_dec, E)
    torch.save(tied, tmp_path / "no-k.pt")
    with pytest.raises(ValueError, match=r"no-k\.pt: activation TopK needs 'k', a whole number"):
        load_sae(tmp_path / "no-k.pt")
    for missing in ("latent_bias", "encoder.weight"):
        state = {name: value for name, value in tied.items() if name != missing}
        torch.save(state | {"activation": "ReLU"}, tmp_path / "less.pt")
        with pytest.raises(ValueError, match=rf"less\.pt has no (tensor )?'{missing}'"):
            load_sae(tmp_path / "less.pt")


def test_an_assumed_class_is_warned_of(tmp_path):
    E = torch.randn(L, D)
    state = {"encoder.weight": E, "encoder.bias": torch.zeros(L), "decoder.weight": E.T}
    state |= {"b_dec": torch.zeros(D), "k": torch.tensor(2), "threshold": torch.tensor(0.5)}
    torch.save(state, tmp_path / "ae.pt")
    with pytest.warns(UserWarning, match=r"config\.json is missing, AutoEncoderTopK is assumed$"):
        load_sae(tmp_path / "ae.pt")
    trainer = {"dict_class": "BatchTopKSAE", "k": 2, "activation_dim": D, "dict_size": L}
    (tmp_path / "config.json").write_text(json.dumps({"trainer": trainer}))
    assert load_sae(tmp_path / "ae.pt").config.activation == "jumprelu"
    torch.save({k: v for k, v in state.items() if k != "threshold"}, tmp_path / "ae.pt")
    with pytest.raises(ValueError, match="a BatchTopK SAE without 'threshold'"):
        load_sae(tmp_path)
