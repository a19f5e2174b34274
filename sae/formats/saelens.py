"""SAE folders of SAELens (https://github.com/decoderesearch/SAELens), of all its versions."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.files import atomic_write
from .paths import SAELENS
from .stored import StoredSAE, check_files, checked, make_config, read_json, refuse, turned
from .tensors import map_tensors, save_tensors

CONFIG, WEIGHTS, SCALER = "cfg.json", SAELENS, "activation_scaler.json"
ACTIVATIONS = {"topk": "topk", "standard": "relu", "jumprelu": "jumprelu"}
NORMALIZATIONS = {
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
    # Not a step of the SAE, but a factor that is in the weights once training is over.
    "expected_average_only_in": "none",
}
_TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")


def load(folder: Path) -> StoredSAE:
    """Return the SAE of an inference folder or a checkpoint.

    The norms of the decoder's rows (where training divided by them), and a checkpoint's factor of
    the activations, are folded into the weights: it computes what SAELens would from raw
    activations, and has the codes of the SAE that SAELens saves for inference.

    Raises:
        FileNotFoundError: ``folder`` lacks one of the two files.
        ValueError: a file is corrupt, or the SAE computes something that ours cannot; the message
            names the setting.
    """
    check_files(folder, CONFIG, WEIGHTS)
    path, file = folder / CONFIG, folder / WEIGHTS
    cfg = _modern(read_json(path))
    tensors = map_tensors(file)
    scaling = tensors.pop("scaling_factor", torch.ones(()))  # of finetuning, before version 6
    if not torch.equal(scaling, torch.ones_like(scaling)):
        raise ValueError(f"{file}: scaling_factor is not supported, other than 1")
    _check(path, cfg)
    fields: dict[str, Any] = {
        "d_in": cfg["d_in"],
        "num_latents": cfg["d_sae"],
        "normalize_decoder": False,
        "activation": ACTIVATIONS[cfg["architecture"]],
        "transcode": not cfg.get("apply_b_dec_to_input", True),
        "normalization": NORMALIZATIONS[cfg["normalize_activations"]],
    }
    if fields["activation"] == "topk":
        fields["k"] = cfg["k"]
    config = make_config(path, fields)
    ours = checked(config, _by_our_names(tensors), file)
    if cfg.get("rescale_acts_by_decoder_norm", False):
        _fold_norms(ours)
    _fold_scaling(ours, folder / SCALER)
    left = (*_left(cfg), *(f"tensor {name}" for name in tensors.keys() - _TENSORS))
    return StoredSAE(config, ours, left)


def save(sae: StoredSAE, folder: Path) -> None:
    """Write an inference folder, if SAELens has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    config = sae.config
    refuse(sae.config, "SAELens", activation=tuple(ACTIVATIONS.values()), skip_connection=(False,))
    theirs = {ours: name for name, ours in reversed(NORMALIZATIONS.items())}
    cfg: dict[str, Any] = {
        "architecture": next(a for a, ours in ACTIVATIONS.items() if ours == config.activation),
        "d_in": config.d_in,
        "d_sae": config.num_latents,
        "dtype": str(sae.tensors["W_dec"].dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": not config.transcode,
        "normalize_activations": theirs[config.normalization],
        "reshape_activations": "none",
        # Without a version, it would be taken for one before 6.
        "metadata": {"sae_lens_version": "6.0.0"},
    }
    if config.activation == "topk":
        cfg |= {"k": config.k, "rescale_acts_by_decoder_norm": False}
    tensors = dict(sae.tensors)
    tensors["W_enc"] = tensors.pop("encoder.weight").T
    tensors["b_enc"] = tensors.pop("encoder.bias")
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, tensors)
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(cfg))


def _modern(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of any version in the terms of version 6."""
    cfg = {"architecture": "standard", **cfg}
    if cfg.get("activation_fn_str", cfg.get("activation_fn")) == "topk":
        cfg |= {"architecture": "topk", "k": cfg["activation_fn_kwargs"]["k"]}
    normalize = cfg.get("normalize_activations") or "none"
    cfg["normalize_activations"] = "expected_average_only_in" if normalize is True else normalize
    return cfg


def _check(path: Path, cfg: dict[str, Any]) -> None:
    for key in ("d_in", "d_sae", *(("k",) if cfg["architecture"] == "topk" else ())):
        if key not in cfg:
            raise ValueError(f"{path} is no SAE configuration: it has no {key!r}")
    for key, known in (("architecture", ACTIVATIONS), ("normalize_activations", NORMALIZATIONS)):
        if cfg[key] not in known:
            usable = ", ".join(known)
            raise ValueError(f"{path}: {key} = {cfg[key]!r} is not supported, only {usable}")


def _by_our_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = dict(tensors)
    if "W_enc" in ours:
        ours["encoder.weight"] = turned(ours.pop("W_enc"))
    if "b_enc" in ours:
        ours["encoder.bias"] = ours.pop("b_enc")
    return ours


def _left(cfg: dict[str, Any]) -> tuple[str, ...]:
    metadata = cfg.get("metadata") or cfg
    names = ("model_name", "hook_name", "hook_point", "hook_head_index", "dataset_path")
    left = [f"{name} = {metadata[name]}" for name in names if metadata.get(name) is not None]
    if cfg.get("reshape_activations", "none") != "none":
        left.append(f"reshape_activations = {cfg['reshape_activations']}: join the heads yourself")
    return tuple(left)


def _fold_norms(tensors: dict[str, Tensor]) -> None:
    norms = torch.linalg.vector_norm(tensors["W_dec"], dim=1, keepdim=True)  # (L, 1)
    # A latent whose row is zero is never active, and must stay so.
    tensors["encoder.weight"] = tensors["encoder.weight"] * norms
    tensors["encoder.bias"] = tensors["encoder.bias"] * norms.squeeze(1)
    tensors["W_dec"] = tensors["W_dec"] * (1 / norms.where(norms > 0, 1))


def _fold_scaling(tensors: dict[str, Tensor], scaler: Path) -> None:
    """Fold in what SAELens multiplied the activations with, if training was not over yet."""
    factor = read_json(scaler).get("scaling_factor") if scaler.is_file() else None
    if factor is not None:
        for name, by in (("encoder.weight", factor), ("W_dec", 1 / factor), ("b_dec", 1 / factor)):
            tensors[name] = tensors[name] * by
