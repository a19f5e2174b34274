"""Transcoders as circuit-tracer reads them, by its own loaders.

Run with the path of a checkout of https://github.com/decoderesearch/circuit-tracer.
"""

import sys
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Result, parameters
from checkout import take
from torch import Tensor

COMMIT = "4bb8c0ea10bde09727e14565ec8469656880da53"
COMMAND = "python tests/oracles/make_circuit_tracer.py CHECKOUT"
THRESHOLD = "activation_function.threshold"
LAYERS = 3


def finish(files: Path, path: str, x: Tensor, sae: Any, oracle: str) -> None:
    """Write what circuit-tracer's transcoder makes of the inputs."""
    case.finish(
        files,
        [path],
        x,
        lambda inputs: Result(sae.encode(inputs), sae(inputs)),
        decoder=sae.W_dec,
        encoder=sae.W_enc,
        oracle=f"circuit-tracer, {oracle}",
        version=COMMIT,
        command=COMMAND,
    )


def single_layers(loaders: Any) -> None:
    """Write layer_<i>.safetensors with each activation, and with a skip connection."""
    for seed, name, activation, skip in (
        (500, "relu", "relu", False),
        (501, "relu-skip", "relu", True),
        (502, "jumprelu", "jump_relu", False),
        (503, "topk", "topk", False),
        (504, "topk-in-the-file", "topk", True),
    ):
        p = parameters(seed)
        files = case.new_case(f"circuit-tracer-{name}")
        tensors = {"W_enc": p.encoder, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
        tensors |= {"W_skip": p.skip} if skip else {}
        tensors |= {THRESHOLD: p.threshold} if activation == "jump_relu" else {}
        path = files / "layer_0.safetensors"
        case.write_safetensors(path, tensors)
        config = f"activation: {activation}\n" + ("k: 3\n" if name == "topk" else "")
        case.write_text(
            files / "config.yaml",
            "model_name: meta-llama/Llama-3.2-1B\nmodel_kind: transcoder_set\n"
            "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
            f"scan: mntss/transcoder-Llama-3.2-1B\n{config}",
        )
        function = loaders.TopK(3) if activation == "topk" else None
        lazy = {"lazy_encoder": False, "lazy_decoder": False}
        transcoder = loaders.load_transcoder(str(path), 0, activation_fn=function, **lazy)
        if name == "topk-in-the-file":  # as its to_safetensors writes it
            transcoder.to_safetensors(str(path))
        finish(files, "layer_0.safetensors", p.x, transcoder, "load_transcoder")


def facebook(loaders: Any) -> None:
    """Write a layer of facebook/crv-8b-instruct-transcoders; circuit-tracer itself knows its k."""
    p, repository = parameters(505, latents=200), "facebook/crv-8b-instruct-transcoders"
    files = case.new_case("circuit-tracer-facebook")
    path = "crv-8b-instruct-transcoders/layer_0.safetensors"
    tensors = {"W_enc": p.encoder, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
    case.write_safetensors(files / path, tensors)
    hooks = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}
    case.write_text(
        (files / path).with_name("config.yaml"),
        "model_name: meta-llama/Llama-3.1-8B-Instruct\nmodel_kind: transcoder_set\n"
        + "".join(f"{name}: {hook}\n" for name, hook in hooks.items())
        + f"scan: {repository}\nactivation: topk\n",
    )
    layers = loaders.load_transcoder_set(
        {0: str(files / path)}, repository, **hooks, activation="topk", lazy_encoder=False,
        lazy_decoder=False,
    )  # fmt: skip
    finish(files, path, p.x, layers[0], "load_transcoder_set")


def gemma_scope(loaders: Any) -> None:
    """Write what Google publishes, which circuit-tracer reads without SAELens."""
    p = parameters(510)
    files, path = case.new_case("gemma-scope-1-transcoder-by-circuit-tracer"), "layer_0/params.npz"
    arrays = {"W_enc": p.encoder.T, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
    case.write_npz(files / path, arrays | {"threshold": p.threshold})
    transcoder = loaders.load_gemma_scope_transcoder(str(files / path), 0)
    finish(files, path, p.x, transcoder, "load_gemma_scope_transcoder")

    p = parameters(511)
    files = case.new_case("gemma-scope-2-affine-by-circuit-tracer")
    path = "transcoder/layer_0_width_16k_l0_small_affine/params.safetensors"
    tensors = {"w_enc": p.encoder.T, "w_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
    tensors |= {"threshold": p.threshold, "affine_skip_connection": p.skip.T}
    case.write_safetensors(files / path, tensors)
    transcoder = loaders.load_gemma_scope_2_transcoder(str(files / path), 0)
    finish(files, path, p.x, transcoder, "load_gemma_scope_2_transcoder")


def cross_layers(loaders: Any) -> None:
    """Write cross-layer transcoders of three layers; one layer's dictionaries can be matched."""
    layers = [parameters(520 + layer) for layer in range(LAYERS)]
    decoders = [torch.stack([p.decoder * (1 + i) + i for i in range(LAYERS)], 1) for p in layers]
    for name, thresholds in (("relu", False), ("jumprelu", True)):
        files = case.new_case(f"circuit-tracer-clt-{name}")
        for i, p in enumerate(layers):
            tensors = {f"W_enc_{i}": p.encoder, f"b_enc_{i}": p.b_enc, f"b_dec_{i}": p.b_dec}
            tensors |= {f"threshold_{i}": p.threshold} if thresholds else {}
            case.write_safetensors(files / f"W_enc_{i}.safetensors", tensors)
            case.write_safetensors(
                files / f"W_dec_{i}.safetensors", {f"W_dec_{i}": decoders[i][:, i:]}
            )
        clt = loaders.load_clt(str(files), dtype=torch.float32, lazy_decoder=False)
        # The second axis counts layers from the one that writes: layer 1 writes to 1 and 2.
        dictionary(files, ["W_dec_1.safetensors#layer=1"], clt.W_dec[1][:, 1], None, "load_clt")
        files = case.new_case(f"circuit-tracer-clt-encoder-{name}")
        case.write_safetensors(files / "W_enc_1.safetensors", _renamed(layers[1], thresholds))
        dictionary(files, ["W_enc_1.safetensors"], None, clt.W_enc[1], "load_clt")


def _renamed(p: case.Parameters, thresholds: bool) -> dict[str, Tensor]:
    tensors = {"W_enc_1": p.encoder, "b_enc_1": p.b_enc, "b_dec_1": p.b_dec}
    return tensors | ({"threshold_1": p.threshold} if thresholds else {})


def dictionary(
    files: Path, paths: list[str], decoder: Tensor | None, encoder: Tensor | None, oracle: str
) -> None:
    """Write the dictionaries of one layer, whose codes need all layers."""
    case.finish(
        files,
        paths,
        torch.zeros(1, D),
        None,
        decoder=decoder,
        encoder=encoder,
        oracle=f"circuit-tracer, {oracle}",
        version=COMMIT,
        command=COMMAND,
        refused={"load": "layer"},
    )


def gemma_scope_2_layers() -> None:
    """Write Gemma Scope 2's files of several layers: (L, layers, D) decoders, each as it lies."""
    for seed, kind, folder in (
        (530, "crosscoder", "crosscoder/layer_7_13_17_22_width_65k_l0_medium"),
        (531, "clt", "clt/width_262k_l0_medium"),
    ):
        p = parameters(seed)
        decoder = torch.stack([p.decoder, p.decoder.roll(1, 0) * 2, p.decoder.roll(2, 0)], 1)
        files = case.new_case(f"gemma-scope-2-{kind}")
        b_dec = p.b_dec if kind == "clt" else p.b_dec.repeat(LAYERS, 1)
        tensors = {"w_enc": p.encoder.T, "w_dec": decoder, "b_enc": p.b_enc, "b_dec": b_dec}
        path = f"{folder}/params_layer_0.safetensors"
        case.write_safetensors(files / path, tensors | {"threshold": p.threshold})
        config = {"architecture": "jump_relu", "type": kind, "width": L, "l0": 50}
        case.write_json(files / folder / "config.json", config | {"model_name": "gemma-v3-1b-pt"})
        case.finish(
            files, [f"{path}#layer=1"], torch.zeros(1, D), None, decoder=decoder[:, 1],
            encoder=p.encoder, oracle="formula of the layout", version="1", command=COMMAND,
            refused={"load": "layer"},
        )  # fmt: skip


if __name__ == "__main__":
    root = Path(sys.argv[1])
    utils = "circuit_tracer.utils"
    sys.modules[utils] = type(sys)(utils)
    sys.modules[utils].get_default_device = lambda: torch.device("cpu")
    with torch.no_grad():
        single = take(root, "circuit_tracer.transcoder.single_layer_transcoder")
        single_layers(single)
        facebook(single)
        gemma_scope(single)
        cross_layers(take(root, "circuit_tracer.transcoder.cross_layer_transcoder"))
        gemma_scope_2_layers()
