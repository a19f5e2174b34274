"""SAELens' own folders: each architecture that it saves, and each spelling of cfg.json.

Today's version writes what it can write itself; older versions' cfg.json are spelt out.
"""

from pathlib import Path
from typing import Any

import case
import sae_lens
import torch
from case import D, L, Parameters, Result, parameters
from sae_lens import SAE
from sae_lens.registry import get_sae_class, get_sae_training_class
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

COMMAND = "python tests/oracles/make_saelens.py"
METADATA = {
    "model_name": "gemma-2-2b",
    "hook_name": "blocks.12.hook_resid_post",
    "prepend_bos": True,
}
K = 3


def write_by_saelens(folder: Path, architecture: str, p: Parameters, **settings: Any) -> None:
    """Let SAELens write an inference SAE."""
    cls, config = get_sae_class(architecture)
    sizes = {"d_in": D, "d_sae": len(p.encoder)}
    sae = cls(config(**sizes, metadata=SAEMetadata(**METADATA), **settings))
    sae.load_state_dict(tensors_of(architecture, p))
    sae.save_model(folder)


def write_by_training_class(
    folder: Path, architecture: str, p: Parameters, **settings: Any
) -> None:
    """Let SAELens write what it trained as an inference SAE, with one threshold for all latents."""
    cls, config = get_sae_training_class(architecture)
    sae = cls(config(d_in=D, d_sae=L, k=K, metadata=SAEMetadata(**METADATA), **settings))
    tensors = tensors_of("standard", p)
    sae.load_state_dict(tensors | {"topk_threshold": torch.tensor(1.1, dtype=torch.float64)})
    sae.save_inference_model(folder)


def tensors_of(architecture: str, p: Parameters) -> dict[str, Tensor]:
    """Return the state of one of SAELens' classes."""
    tensors = {"W_enc": p.encoder.T, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}
    if "jumprelu" in architecture:
        tensors["threshold"] = p.threshold
    if "skip" in architecture:
        tensors["W_skip"] = p.skip
    if architecture == "gated":
        # The gate's bias, then the magnitude's scale and bias.
        tensors |= {"b_gate": tensors.pop("b_enc"), "r_mag": p.skip.flatten()[:L]}
        tensors["b_mag"] = p.threshold
    if architecture == "matching_pursuit":
        del tensors["W_enc"], tensors["b_enc"]
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def finish(files: Path, folder: str, x: Tensor, refused: dict[str, str] | None = None) -> None:
    """Write what SAELens' SAE from disk makes of the inputs."""
    sae = SAE.load_from_disk(files / folder).eval()
    if sae.hook_z_reshaping_mode:
        sae.turn_off_forward_pass_hook_z_reshaping()  # the heads are joined already
    case.finish(
        files,
        [folder],
        x,
        None if refused else lambda inputs: Result(sae.encode(inputs), sae(inputs)),
        decoder=sae.W_dec,
        encoder=None if refused and "encoder" in refused else sae.W_enc.T,
        oracle="SAELens, SAE.load_from_disk",
        version=sae_lens.__version__,
        command=COMMAND,
        refused=refused,
    )


TODAY: tuple[tuple[str, str, dict[str, Any], dict[str, str] | None], ...] = (
    ("standard", "standard", {}, None),
    ("standard-plain", "standard", {"apply_b_dec_to_input": False}, None),
    ("standard-layer-norm", "standard", {"normalize_activations": "layer_norm"}, None),
    ("standard-constant-norm", "standard",
     {"normalize_activations": "constant_norm_rescale"}, None),
    ("topk", "topk", {"k": K}, None),
    ("topk-rescaled", "topk", {"k": K, "rescale_acts_by_decoder_norm": True}, None),
    ("topk-layer-norm", "topk", {"k": K, "normalize_activations": "layer_norm"}, None),
    ("topk-plain", "topk", {"k": K, "apply_b_dec_to_input": False}, None),
    ("abstopk", "abstopk", {"k": K}, None),
    ("jumprelu", "jumprelu", {}, None),
    ("jumprelu-layer-norm", "jumprelu", {"normalize_activations": "layer_norm"}, None),
    ("gated", "gated", {}, None),
    ("gated-plain", "gated", {"apply_b_dec_to_input": False}, None),
    ("transcoder", "transcoder", {"apply_b_dec_to_input": False, "d_out": D}, None),
    ("skip-transcoder", "skip_transcoder", {"apply_b_dec_to_input": False, "d_out": D}, None),
    ("jumprelu-transcoder", "jumprelu_transcoder",
     {"apply_b_dec_to_input": False, "d_out": D}, None),
    ("jumprelu-skip-transcoder", "jumprelu_skip_transcoder",
     {"apply_b_dec_to_input": False, "d_out": D}, None),
    ("transcoder-narrow", "transcoder", {"apply_b_dec_to_input": False, "d_out": D - 1}, None),
    ("skip-transcoder-narrow", "skip_transcoder",
     {"apply_b_dec_to_input": False, "d_out": D - 1}, None),
    ("matching-pursuit", "matching_pursuit", {},
     {"load": "matching_pursuit", "encoder": "encoder"}),
    ("standard-square", "standard", {}, None),
    ("standard-narrower-than-the-model", "standard", {}, None),
)  # fmt: skip


def today() -> None:
    """Write every architecture that is saved for inference."""
    for seed, (name, architecture, settings, refused) in enumerate(TODAY, 100):
        latents = {"standard-square": D, "standard-narrower-than-the-model": D - 2}.get(name, L)
        p = parameters(seed, settings.get("d_out", D), latents)
        files = case.new_case(f"saelens-{name}")
        folder = "blocks.12.hook_resid_post"
        write_by_saelens(files / folder, architecture, p, **settings)
        finish(files, folder, p.x, refused)
    for seed, architecture, settings in (
        (151, "batchtopk", {}),
        (152, "batchtopk", {"rescale_acts_by_decoder_norm": True}),
        (153, "matryoshka_batchtopk", {"matryoshka_widths": [4, L]}),
    ):
        p = parameters(seed)
        rescaled = "-rescaled" if "rescale_acts_by_decoder_norm" in settings else ""
        files = case.new_case(f"saelens-{architecture.replace('_', '-')}{rescaled}")
        folder = "gemma-2-2b/layer-12/batchtopk/k3"
        write_by_training_class(files / folder, architecture, p, **settings)
        finish(files, folder, p.x)


FLAT: dict[str, Any] = {
    "d_in": D, "d_sae": L, "dtype": "torch.float32", "device": "cpu", "model_name": "gpt2-small",
    "dataset_path": "Skylion007/openwebtext", "context_size": 128,
}  # fmt: skip
OLD: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("3", "standard", FLAT | {
        "hook_point": "blocks.8.hook_resid_pre", "hook_point_layer": 8,
        "hook_point_head_index": None,
        "is_dataset_tokenized": False, "expansion_factor": 32, "l1_coefficient": 8e-05, "seed": 42,
        "use_ghost_grads": True, "lp_norm": 1, "prepend_bos": True, "from_pretrained_path": None,
    }),
    ("3-normalize-true", "standard", FLAT | {
        "hook_point": "blocks.8.hook_resid_pre", "normalize_activations": True}),
    ("3-normalize-false", "standard", FLAT | {
        "hook_point": "blocks.8.hook_resid_pre", "normalize_activations": False}),
    ("4-topk", "standard", FLAT | {
        "architecture": "standard", "hook_name": "v5_32k_layer_8", "hook_layer": 8,
        "activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}, "prepend_bos": False,
        "apply_b_dec_to_input": True, "finetuning_scaling_factor": False,
        "normalize_activations": "layer_norm", "sae_lens_training_version": None}),
    ("4-relu", "standard", FLAT | {
        "architecture": "standard", "hook_name": "blocks.5.hook_mlp_out", "hook_layer": 5,
        "activation_fn_str": "relu", "activation_fn_kwargs": {}, "apply_b_dec_to_input": False,
        "finetuning_scaling_factor": False, "normalize_activations": "none"}),
    ("5-jumprelu", "jumprelu", FLAT | {
        "architecture": "jumprelu", "hook_name": "blocks.12.hook_resid_post", "hook_layer": 12,
        "activation_fn": "relu", "activation_fn_kwargs": {}, "apply_b_dec_to_input": False,
        "finetuning_scaling_factor": False, "normalize_activations": "none", "dtype": "float32",
        "sae_lens_training_version": "5.5.2", "neuronpedia_id": None,
        "model_from_pretrained_kwargs": {"center_writing_weights": False}}),
    ("5-topk", "standard", FLAT | {
        "architecture": "topk", "hook_name": "blocks.12.hook_resid_post", "hook_layer": 12,
        "activation_fn": "topk", "activation_fn_kwargs": {"k": K}, "apply_b_dec_to_input": True,
        "finetuning_scaling_factor": False, "normalize_activations": "expected_average_only_in",
        "dtype": "float32", "sae_lens_training_version": "5.10.0"}),
    ("5-topk-kwargs-only", "standard", FLAT | {
        "architecture": "topk", "hook_name": "blocks.12.hook_resid_post", "dtype": "float32",
        "activation_fn_kwargs": {"k": K}}),
    ("5-gated", "gated", FLAT | {
        "architecture": "gated", "hook_name": "blocks.25.hook_resid_post", "hook_layer": 25,
        "activation_fn_str": "relu", "apply_b_dec_to_input": True, "dtype": "float32",
        "normalize_activations": "expected_average_only_in", "sae_lens_training_version": "4.0.5"}),
    ("5-hook-z", "standard", FLAT | {
        "architecture": "standard", "hook_name": "blocks.5.attn.hook_z", "hook_layer": 5,
        "activation_fn_str": "relu", "apply_b_dec_to_input": True, "dtype": "float32"}),
)  # fmt: skip


def old() -> None:
    """Write the spellings of cfg.json of versions 3 to 5, and what is left out in some."""
    for seed, (name, architecture, cfg) in enumerate(OLD, 200):
        p = parameters(seed)
        files = case.new_case(f"saelens-cfg-{name}")
        folder = files / "layer_8"
        tensors = tensors_of(architecture, p)
        if name.startswith("3"):
            tensors["scaling_factor"] = torch.ones(L)  # versions 3 and 4 wrote it; it says nothing
        case.write_safetensors(folder / "sae_weights.safetensors", tensors)
        case.write_safetensors(
            folder / "sparsity.safetensors", {"sparsity": torch.full((L,), -3.0)}
        )
        case.write_json(folder / "cfg.json", cfg)
        finish(files, "layer_8", p.x)


if __name__ == "__main__":
    today()
    old()
