"""Llama Scope 1, R1 and 2, folded as their authors' own code folds them.

Run with three checkouts of https://github.com/OpenMOSS/Llamascopium, of the commits below. Their
loaders read the files; what an analysis does first, folding, is theirs too.
"""

import sys
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Parameters, Result, parameters
from checkout import take
from torch import Tensor

FIRST = "8bb947067f6f6c365094421e7faae361346a37f8"
R1 = "7509a1f255b3903d100c3e7f2991d3181831e0f1"
SECOND = "95281ac7ea409a7407f7ef4e480a368413495531"
COMMAND = "python tests/oracles/make_llama_scope.py FIRST R1 SECOND"


def finish(
    files: Path,
    path: str,
    x: Tensor,
    sae: Any,
    sides: tuple[Tensor, Tensor],
    oracle: tuple[str, str],
) -> None:
    """Write what the authors' code makes of the inputs."""
    case.finish(
        files,
        [path],
        x,
        lambda inputs: _run(sae, inputs),
        decoder=sides[0],
        encoder=sides[1],
        oracle=oracle[0],
        version=oracle[1],
        command=COMMAND,
    )


def _run(sae: Any, x: Tensor) -> Result:
    codes = sae.encode(x)
    return Result(codes, sae.decode(codes))


def linear(p: Parameters) -> dict[str, Tensor]:
    """Return linear layers."""
    return {
        "encoder.weight": p.encoder,
        "encoder.bias": p.b_enc,
        "decoder.weight": p.decoder.T,
        "decoder.bias": p.b_dec,
    }


def first(root: Path) -> None:
    """Write hyperparams.json and checkpoints/final.safetensors."""
    module = take(
        root / "src",
        "lm_saes.sae",
        "lm_saes.activation.activation_store",
        "transformer_lens.loading_from_pretrained",
    )
    for seed, letter, norms in (
        (700, "R", {"in": 3.2, "out": 3.2}),
        (701, "TC", {"in": 2.1, "out": 4.3}),
    ):
        p = Parameters(*(tensor.bfloat16().float() for tensor in parameters(seed)))
        name = f"Llama3_1-8B-Base-L15{letter}-8x"
        files = case.new_case(f"llama-scope-1-{letter.lower()}")
        final = files / name / "checkpoints" / "final.safetensors"
        case.write_safetensors(final, linear(p))
        hyperparams = {
            "strict_loading": True,
            "hook_point_in": "blocks.15.hook_resid_post",
            "hook_point_out": "blocks.15.hook_resid_post", "use_decoder_bias": True,
            "apply_decoder_bias_to_pre_encoder": False, "expansion_factor": 8, "d_model": D,
            "d_sae": L, "bias_init_method": "all_zero", "act_fn": "jumprelu",
            "jump_relu_threshold": 0.33007812, "norm_activation": "dataset-wise",
            "dataset_average_activation_norm": norms, "decoder_exactly_fixed_norm": False,
            "sparsity_include_decoder_norm": True, "use_glu_encoder": False,
            "init_decoder_norm": None, "init_encoder_norm": None,
            "init_encoder_with_decoder_transpose": True, "lp": 1, "l1_coefficient": 8e-05,
            "l1_coefficient_warmup_steps": 0, "top_k": 50, "k_warmup_steps": 0.0,
            "use_batch_norm_mse": True, "use_ghost_grads": False, "tp_size": 1, "ddp_size": 1,
        }  # fmt: skip
        case.write_json(files / name / "hyperparams.json", hyperparams)
        sae = module.SparseAutoEncoder.from_pretrained(str(files / name), dtype=torch.float32)
        # The authors' folding would round to bfloat16, too, what it makes of the published numbers.
        case.write_safetensors(final, {k: tensor.bfloat16() for k, tensor in linear(p).items()})
        oracle = ("lm_saes, SparseAutoEncoder.from_pretrained of the same in float32", FIRST)
        finish(files, name, p.x, sae, (p.decoder, p.encoder), oracle)


def r1(root: Path) -> None:
    """Write config.json and sae_weights.safetensors with the thresholds' logarithms."""
    for name in [name for name in sys.modules if name.startswith("lm_saes")]:
        del sys.modules[name]
    module = take(root / "src", "lm_saes.sae", "lm_saes.database", "lm_saes.kernels")
    p, hook = parameters(710), "blocks.15.hook_resid_post"
    folder = "400M-Slimpajama-400M-OpenR1-Math-220k/L15R"
    files = case.new_case("llama-scope-r1")
    config = {
        "sae_type": "sae", "hook_point_in": hook, "hook_point_out": hook, "d_model": D,
        "expansion_factor": 8, "use_decoder_bias": True, "use_glu_encoder": False,
        "act_fn": "jumprelu", "apply_decoder_bias_to_pre_encoder": False,
        "norm_activation": "dataset-wise", "sparsity_include_decoder_norm": True, "top_k": 50,
        "jumprelu_threshold_window": 2.0,
    }  # fmt: skip
    p = parameters(710, latents=8 * D)
    tensors = linear(p) | {
        "log_jumprelu_threshold": (p.threshold * 2).log(),
        f"dataset_average_activation_norm.{hook}": torch.tensor(3.7),
    }
    case.write_safetensors(files / folder / "sae_weights.safetensors", tensors)
    case.write_json(files / folder / "config.json", config)
    sae = module.SparseAutoEncoder.from_pretrained(
        str(files / folder), device="cpu", dtype=torch.float32
    )
    # As its Initializer does for inference.
    sae.standardize_parameters_of_dataset_norm(None)
    sae.transform_to_unit_decoder_norm()
    oracle = ("lm_saes, SparseAutoEncoder.from_pretrained and its Initializer's folding", R1)
    finish(files, folder, p.x, sae, (p.decoder, p.encoder), oracle)


def second(root: Path) -> None:
    """Write config.json and sae_weights.safetensors with W_E and W_D."""
    absent = ("backend.language_model", "models.lorsa")
    source = root / "src"
    sae_module = take(source, "llamascopium.models.sae", *(f"llamascopium.{a}" for a in absent))
    hooks = ("blocks.12.ln2.hook_normalized", "blocks.12.hook_mlp_out")
    norm = "dataset_average_activation_norm"
    for seed, name, act_fn, k, include in (
        (720, "transcoder/8x/k4/layer12_transcoder_8x_k4", "topk", 4, True),
        (721, "transcoder/8x/k128/layer12_transcoder_8x_k128", "jumprelu", 128, True),
        (722, "transcoder/8x/k64/layer12_transcoder_8x_k64", "jumprelu", 64, False),
    ):
        p = parameters(seed, latents=8 * D)
        files = case.new_case(f"llama-scope-2-{act_fn}{'' if include else '-without-norms'}")
        config = {
            "sae_type": "sae", "d_model": D, "expansion_factor": 8, "use_decoder_bias": True,
            "act_fn": act_fn, "norm_activation": "dataset-wise",
            "sparsity_include_decoder_norm": include, "top_k": k, "use_triton_kernel": False,
            "hook_point_in": hooks[0], "hook_point_out": hooks[1], "use_glu_encoder": False,
            "jumprelu_threshold_window": 2.0,
        }  # fmt: skip
        tensors = {"W_E": p.encoder.T, "b_E": p.b_enc, "W_D": p.decoder, "b_D": p.b_dec}
        tensors |= {f"{norm}.{hooks[0]}": torch.tensor(2.9)}
        tensors |= {f"{norm}.{hooks[1]}": torch.tensor(1.7)}
        if act_fn == "jumprelu":
            tensors["activation_function.log_jumprelu_threshold"] = p.threshold.log()
        case.write_safetensors(files / name / "sae_weights.safetensors", tensors)
        case.write_json(files / name / "config.json", config)
        sae = sae_module.SparseAutoEncoder.from_pretrained(
            str(files / name), fold_activation_scale=True, device="cpu", dtype=torch.float32
        )
        oracle = ("llamascopium, from_pretrained with fold_activation_scale", SECOND)
        finish(files, name, p.x, sae, (p.decoder, p.encoder), oracle)


if __name__ == "__main__":
    with torch.no_grad():
        first(Path(sys.argv[1]))
        r1(Path(sys.argv[2]))
        second(Path(sys.argv[3]))
