"""Families that SAELens reads by loaders of its own: Gemma Scope, Qwen-Scope, Goodfire, and others.

Its loaders run as they are. Only two of the Hub's functions are replaced, by ones that read the
case's folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import case
import sae_lens
import torch
from case import D, L, Parameters, Result, parameters
from huggingface_hub.utils import EntryNotFoundError
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from safetensors import safe_open
from torch import Tensor

COMMAND = "python tests/oracles/make_saelens_loaders.py"


def load(
    files: Path, loader: str, repository: str, name: str, sizes: dict[str, Any] | None = None
) -> Any:
    """Return SAELens' SAE of a Hub repository that lies in ``files``."""

    def download(repo_id: str, filename: str, subfolder: str = "", **_options: object) -> str:
        path = files / subfolder / filename
        if not path.is_file():
            message = f"{repo_id} has no {filename}"
            raise EntryNotFoundError(message)
        return str(path)

    def shapes(_repository: str, filename: str) -> dict[str, list[int]]:
        with safe_open(files / filename, "pt") as file:
            return {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118

    def convert(**options: Any) -> Any:
        overrides = {**(options.pop("cfg_overrides") or {}), **(sizes or {})}
        return loaders.NAMED_PRETRAINED_SAE_LOADERS[loader](cfg_overrides=overrides, **options)

    loaders.hf_hub_download = download
    loaders.get_safetensors_tensor_shapes = shapes
    return SAE.from_pretrained(repository, name, converter=convert).eval()


def finish(
    files: Path,
    paths: list[str],
    sae: Any,
    x: Tensor,
    loader: str,
    refused: dict[str, str] | None = None,
) -> None:
    """Write what SAELens' SAE makes of the inputs."""
    case.finish(
        files,
        paths,
        x,
        lambda inputs: Result(sae.encode(inputs), sae(inputs)),
        decoder=sae.W_dec,
        encoder=sae.W_enc.T,
        oracle=f"SAELens, loader {loader}",
        version=sae_lens.__version__,
        command=COMMAND,
        refused=refused,
    )


def gemma_scope_1() -> None:
    """Write params.npz of residual SAEs, of the embedding's, and of transcoders."""
    sizes = {"d_in": D, "d_sae": L}
    for seed, name, loader, repository, folder in (
        (1, "", "gemma_2", "google/gemma-scope-2b-pt-res", "layer_12/width_16k/average_l0_82"),
        (2, "-embedding", "gemma_2", "google/gemma-scope-2b-pt-res",
         "embedding/width_4k/average_l0_6"),
        (3, "-transcoder", "gemma_2_transcoder", "google/gemma-scope-2b-pt-transcoders",
         "layer_3/width_16k/average_l0_54"),
    ):  # fmt: skip
        p = parameters(seed)
        files = case.new_case(f"gemma-scope-1{name}")
        arrays = _by_side(p, "W_enc", "W_dec", turned_encoder=True) | {"threshold": p.threshold}
        case.write_npz(files / folder / "params.npz", arrays, compressed=name == "-transcoder")
        given = sizes | ({"d_out": D} if name == "-transcoder" else {})
        sae = load(files, loader, repository, folder, given)
        x = p.x * 3 if name == "-embedding" else p.x  # its encoder is divided by sqrt(D)
        finish(files, [folder, f"{folder}/params.npz"], sae, x, loader)


def gemma_scope_2() -> None:
    """Write params.safetensors and config.json of SAEs and transcoders."""
    plain = "resid_post/layer_12_width_16k_l0_medium"
    affine = "transcoder_all/layer_3_width_16k_l0_small_affine"
    for seed, name, folder, kind, sidecar in (
        (11, "", plain, "sae", True),
        (12, "-no-config", plain, "sae", False),
        (13, "-attention", "attn_out/layer_5_width_16k_l0_small", "sae", True),
        (14, "-transcoder", "transcoder/layer_9_width_16k_l0_big", "transcoder", True),
        (15, "-affine", affine, "transcoder", True),
    ):
        p = parameters(seed)
        files = case.new_case(f"gemma-scope-2{name}")
        tensors = _by_side(p, "w_enc", "w_dec", turned_encoder=True) | {"threshold": p.threshold}
        if name == "-affine":
            tensors["affine_skip_connection"] = p.skip.T
        case.write_safetensors(files / folder / "params.safetensors", tensors)
        if sidecar:
            case.write_json(
                files / folder / "config.json", _gemma_3_config(kind, name == "-affine")
            )
        sae = load(files, "gemma_3", "google/gemma-scope-2-270m-pt", folder)
        finish(files, [folder, f"{folder}/params.safetensors"], sae, p.x, "gemma_3")


def _gemma_3_config(kind: str, affine: bool) -> dict[str, Any]:
    points = {
        "hf_hook_point_in": "model.layers.12.output",
        "hf_hook_point_out": "model.layers.12.output",
    }
    if kind == "transcoder":
        points = {
            "hf_hook_point_in": "model.layers.9.pre_feedforward_layernorm.output",
            "hf_hook_point_out": "model.layers.9.post_feedforward_layernorm.output",
        }
    return points | {
        "width": L,
        "model_name": "gemma-v3-270m-pt",
        "architecture": "jump_relu",
        "l0": 50,
        "affine_connection": affine,
        "type": kind,
    }


def qwen_scope() -> None:
    """Write layer0.sae.pt, whose matrices lie the other way round, and the root's config.json."""
    for seed, name, sidecar in ((21, "", True), (22, "-no-config", False)):
        p, k = parameters(seed), 3
        files = case.new_case(f"qwen-scope{name}") / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_3"
        tensors = {"W_enc": p.encoder, "W_dec": p.decoder.T, "b_enc": p.b_enc, "b_dec": p.b_dec}
        case.write_pt(files / "layer0.sae.pt", tensors)
        if sidecar:
            config = {
                "model_type": "topk_sae", "base_model": "Qwen/Qwen3-1.7B-Base", "d_model": D,
                "d_sae": L, "k": k, "num_layers": 28, "hook_point": "resid_post",
                "dtype": "float32",
            }  # fmt: skip
            case.write_json(files / "config.json", config)
        repository = f"Qwen/{files.name}"
        sae = load(files, "qwen_scope", repository, "layer0.sae.pt", {"d_in": D, "d_sae": L})
        finish(files.parent, [f"{files.name}/layer0.sae.pt"], sae, p.x, "qwen_scope")


def single_files() -> None:
    """Write the one file of Goodfire, of qresearch, and of ckkissane with its sidecar."""
    sizes = {"d_in": D, "d_sae": L}
    for seed, name, loader, repository, file, linear in (
        (31, "goodfire", "goodfire", "Goodfire/Llama-3.1-8B-Instruct-SAE-l19",
         "Llama-3.1-8B-Instruct-SAE-l19.pth", "_linear"),
        (32, "goodfire-70b", "goodfire", "Goodfire/Llama-3.3-70B-Instruct-SAE-l50",
         "Llama-3.3-70B-Instruct-SAE-l50.pt", "_linear"),
        (33, "qresearch", "deepseek_r1", "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19",
         "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", ""),
    ):  # fmt: skip
        p = parameters(seed)
        files = case.new_case(name)
        tensors = {
            f"encoder{linear}.weight": p.encoder,
            f"encoder{linear}.bias": p.b_enc,
            f"decoder{linear}.weight": p.decoder.T,
            f"decoder{linear}.bias": p.b_dec,
        }
        case.write_pt(files / file, tensors)
        finish(files, [file], load(files, loader, repository, file, sizes), p.x, loader)
    p, stem = (
        parameters(34),
        "gpt2-small_L5_Hcat_z_lr1.20e-03_l11.00e+00_ds24576_bs4096_dc1.00e-06_v9",
    )
    files = case.new_case("ckkissane")
    tensors = _by_side(p, "W_enc", "W_dec", turned_encoder=True)
    case.write_pt(files / f"{stem}.pt", tensors)
    cfg = {
        "seed": 49, "batch_size": 4096, "model_batch_size": 512, "lr": 0.0012, "l1_coeff": 1.0,
        "act_name": "blocks.5.attn.hook_z", "act_size": D, "dict_size": L, "layer": 5, "site": "z",
        "concat_heads": True, "head": "cat", "enc_dtype": "fp32", "model_name": "gpt2-small",
    }  # fmt: skip
    case.write_json(files / f"{stem}_cfg.json", cfg)
    sae = load(
        files, "connor_rob_hook_z", "ckkissane/attn-saes-gpt2-small-all-layers", f"{stem}.pt"
    )
    sae.turn_off_forward_pass_hook_z_reshaping()
    finish(files, [f"{stem}.pt"], sae, p.x, "connor_rob_hook_z")


def mwhanna() -> None:
    """Write layer_3.safetensors in bfloat16, whose two matrices have one latent a row."""
    for seed, name, size, wandb, sidecar in (
        (41, "", "0.6b-transcoders-lowl0", "wandb-config.yaml", True),
        (42, "-14b", "14b-transcoders", "wanb-config.yaml", False),  # as it is spelt there
    ):
        p = Parameters(*(tensor.bfloat16().float() for tensor in parameters(seed)))
        files = case.new_case(f"mwhanna{name}")
        tensors = _by_side(p, "W_enc", "W_dec", turned_encoder=False)
        case.write_safetensors(
            files / "layer_3.safetensors", {k: tensor.bfloat16() for k, tensor in tensors.items()}
        )
        if sidecar:
            case.write_text(
                files / "config.yaml",
                "model_name: Qwen/Qwen3-0.6B\nmodel_kind: transcoder_set\n"
                "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
                f"scan: mwhanna/qwen3-{size}\n",
            )
        case.write_text(
            files / wandb,
            f"_wandb:\n    value: {{}}\nbatch_size:\n    value: 4096\nd_feature:\n    value: {L}\n"
            f"d_model:\n    value: {D}\n",
        )
        sae = load(files, "mwhanna_transcoder", f"mwhanna/qwen3-{size}", "layer_3.safetensors")
        finish(files, ["layer_3.safetensors"], sae, p.x, "mwhanna_transcoder")


def dictionary_learning_1() -> None:
    """Write folders of canrager's and adamkarvonen's, as the registry has them."""
    for seed, name, cls in (
        (51, "topk", "AutoEncoderTopK"),
        (52, "batch-topk", "BatchTopKSAE"),
        (53, "gated", "GatedAutoEncoder"),
        (54, "jumprelu", "JumpReluAutoEncoder"),
    ):
        p = parameters(seed)
        folder = "resid_post_layer_8/trainer_3"
        files = case.new_case(f"dictionary-learning-1-{name}")
        linear = {"encoder.weight": p.encoder, "decoder.weight": p.decoder.T}
        biases = {"encoder.bias": p.b_enc, "b_dec": p.b_dec}
        tensors = {
            "topk": linear | biases,
            "batch-topk": linear
            | biases
            | {"k": torch.tensor(3, dtype=torch.int32), "threshold": torch.tensor(0.6)},
            "gated": linear
            | {"decoder_bias": p.b_dec, "r_mag": p.skip.flatten()[:L], "gate_bias": p.b_enc}
            | {"mag_bias": p.threshold},
            "jumprelu": _by_side(p, "W_enc", "W_dec", turned_encoder=True)
            | {"threshold": p.threshold},
        }[name]
        case.write_pt(files / folder / "ae.pt", tensors)
        trainer = {
            "dict_class": cls, "trainer_class": "Trainer", "activation_dim": D, "dict_size": L,
            "k": 3, "layer": 8, "lm_name": "EleutherAI/pythia-160m-deduped", "seed": 0,
            "submodule_name": "resid_post_layer_8",
        }  # fmt: skip
        config = {"trainer": trainer, "buffer": {"d_submodule": D, "ctx_len": 1024}}
        case.write_json(files / folder / "config.json", config)
        sae = load(files, "dictionary_learning_1", "canrager/lm_sae", folder)
        finish(files, [folder], sae, p.x, "dictionary_learning_1")


def temporal() -> None:
    """Write a temporal SAE, of which only the dictionary D (L, D) can be matched."""
    p = parameters(61)
    folder = "gemma-2-2B/layer_12/temporal"
    files = case.new_case("temporal")
    tensors = {"D": p.decoder, "b": p.b_dec, "E": p.encoder.T}
    case.write_safetensors(files / folder / "latest_ckpt.safetensors", tensors)
    case.write_text(
        files / folder / "conf.yaml",
        f"llm:\n  dimin: {D}\nsae:\n  exp_factor: {L / D}\n  n_heads: 1\n  kval_topk: 3\n"
        "  n_attn_layers: 1\n  bottleneck_factor: 1\n  sae_diff_type: topk\n  tied_weights: false\n"
        "  scaling_factor: 0.1\ndata:\n  dtype: float32\n",
    )
    case.finish(
        files, [folder], p.x, None, decoder=p.decoder, encoder=None,
        oracle="formula of the layout", version="1", command=COMMAND,
        refused={"load": "temporal"},
    )  # fmt: skip


def _by_side(
    p: Parameters, encoder: str, decoder: str, *, turned_encoder: bool
) -> dict[str, Tensor]:
    return {
        encoder: p.encoder.T if turned_encoder else p.encoder,
        decoder: p.decoder,
        "b_enc": p.b_enc,
        "b_dec": p.b_dec,
    }


FAMILIES: tuple[Callable[[], None], ...] = (
    gemma_scope_1, gemma_scope_2, qwen_scope, single_files, mwhanna, dictionary_learning_1,
    temporal,
)  # fmt: skip

if __name__ == "__main__":
    for family in FAMILIES:
        family()
