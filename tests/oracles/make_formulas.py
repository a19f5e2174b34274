"""Layouts whose owner's code is not published as a package: by the formula of their model cards."""

from collections.abc import Mapping
from pathlib import Path

import case
import torch
from case import D, L, Result, Run, parameters
from torch import Tensor

COMMAND = "python tests/oracles/make_formulas.py"
K = 3


def finish(
    files: Path, path: str, p: case.Parameters, run: Run | None, refused: Mapping[str, str]
) -> None:
    """Write what the formula makes of the inputs."""
    readable = "decoder" not in refused
    case.finish(
        files,
        [path],
        p.x,
        run,
        decoder=p.decoder if readable else None,
        encoder=p.encoder if readable else None,
        oracle="formula of the layout",
        version="1",
        command=COMMAND,
        refused=refused,
    )


def goodfire_hackathon() -> None:
    """Write Goodfire's TopK SAE: a decoder without a bias, and k in the file's name."""
    p = parameters(900)
    files = case.new_case("goodfire-hackathon")
    path = f"topk_sae_l15_exp16_k{K}.pt"
    tensors = {"encoder_linear.weight": p.encoder, "encoder_linear.bias": p.b_enc}
    case.write_pt(files / path, tensors | {"decoder.weight": p.decoder.T})

    def run(x: Tensor) -> Result:
        top = torch.relu(x @ p.encoder.T + p.b_enc).topk(K, dim=1)
        codes = torch.zeros(len(x), L).scatter(1, top.indices, top.values)
        return Result(codes, codes @ p.decoder)

    finish(files, path, p, run, {})


def dmanningcoe() -> None:
    """Write a dict in a dict: the file does not say in what convention it is."""
    p = parameters(901)
    files = case.new_case("dmanningcoe")
    path = "weights/sae_L0_ln1_s0.pt"
    state = {"W_enc": p.encoder.T.contiguous(), "W_dec": p.decoder, "b_enc": p.b_enc}
    holds = {"state_dict": state | {"b_dec": p.b_dec}, "val_fvu": 0.1}
    case.write_pt(files / path, holds | {"config": {"d_in": D, "d_sae": L, "k": K}})
    finish(files, path, p, None, dict.fromkeys(("load", "decoder", "encoder"), "nested"))


def arena() -> None:
    """Write a transcoder of a fork of SAELens, which its cfg.json calls a standard SAE."""
    p = parameters(902)
    files = case.new_case("arena-transcoder")
    folder = "gpt2-small-layer-8-mlp-transcoder"
    tensors = {"W_enc": p.encoder.T, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
    out = {"b_dec_out": p.b_dec.flip(0)}
    case.write_safetensors(files / folder / "sae_weights.safetensors", tensors | out)
    cfg = {
        "architecture": "standard", "d_in": D, "d_sae": L, "activation_fn_str": "relu",
        "apply_b_dec_to_input": True, "finetuning_scaling_factor": False, "dtype": "float32",
        "normalize_activations": "none", "hook_name": "blocks.8.ln2.hook_normalized",
        "hook_layer": 8, "hook_head_index": None, "context_size": 128, "device": "cpu",
    }  # fmt: skip
    case.write_json(files / folder / "cfg.json", cfg)
    finish(files, folder, p, None, {"load": "transcoder"})


if __name__ == "__main__":
    goodfire_hackathon()
    dmanningcoe()
    arena()
