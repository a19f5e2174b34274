"""SAE folders of SAELens (https://github.com/decoderesearch/SAELens), of all its versions."""

import json
import math
from pathlib import Path
from typing import Any

import torch

from ...common.files import atomic_write
from .dictionary_learning import gated
from .layouts import SAELENS
from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, build, refuse
from .tensors import save_tensors

CONFIG, WEIGHTS, SCALER = "cfg.json", SAELENS, "activation_scaler.json"
ACTIVATIONS = {
    "standard": "relu",
    "gated": "gated",
    "topk": "topk",
    "abstopk": "abs_topk",
    "jumprelu": "jumprelu",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
_WRITTEN = {"topk": "topk", "relu": "standard", "jumprelu": "jumprelu"}
_REASONS = {
    "matching_pursuit": "its codes come from steps that depend on one another",
    "temporal": "its codes depend on the whole sequence",
    "batchtopk": "its codes depend on the batch; save it for inference",
    "matryoshka_batchtopk": "its codes depend on the batch; save it for inference",
}
NORMALIZATIONS = {
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
    # Not a step of the SAE, but a factor that is in the weights once training is over.
    "expected_average_only_in": "none",
}
_TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold", "b_gate", "r_mag", "b_mag", "W_skip")
_AVERAGED = "normalize_activations = expected_average_only_in"
_UNIT = "scaling_factor"  # of finetuning, before version 6


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    num_latents, d_in = sizes_in(source.sidecar, "d_sae", "d_in")
    transcoder = "transcoder" in str(source.sidecar.get("architecture", ""))
    return Names(
        "W_enc",
        "W_dec",
        ("b_enc", "threshold", "b_gate", "r_mag", "b_mag"),
        ("b_dec",),
        num_latents=num_latents,
        d_in=None if transcoder else d_in,
        layout="DL/LD",
        family=f"{CONFIG} of SAELens",
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE of an inference folder or a checkpoint.

    The norms of the decoder's rows (where training divided by them), and a checkpoint's or the
    registry's factor of the activations, are folded into the weights: it computes what SAELens
    would from raw activations, and has the codes of the SAE that SAELens saves for inference.

    Raises:
        ValueError: a file is corrupt, or the SAE computes something that ours cannot; the message
            names the setting.
    """
    if source.sidecar_file is None:
        raise FileNotFoundError(f"{source.path} is no SAE folder: it has no {CONFIG}")
    cfg = _modern(source.sidecar)
    if _UNIT in source.contents and not bool((source.tensor(_UNIT) == 1).all()):
        raise ValueError(f"{source.file}: {_UNIT} is not supported, other than 1")
    if "b_dec_out" in source.contents:
        raise ValueError(f"{source.file}: 'b_dec_out' is a transcoder's, but {CONFIG} says SAE")
    _check(source, cfg)
    names = names_of(source)
    parts: dict[str, Any] = {
        "encoder": source.matrix(names, "encoder"),
        "decoder": source.matrix(names, "decoder"),
        "encoder_bias": source.optional("b_enc"),
        "b_dec": source.tensor("b_dec"),
        "W_skip": source.optional("W_skip"),
        "activation": ACTIVATIONS[cfg["architecture"]],
        "transcode": not cfg.get("apply_b_dec_to_input", True),
        "normalization": NORMALIZATIONS[cfg["normalize_activations"]],
    }
    if parts["activation"] == "jumprelu":
        parts["threshold"] = source.tensor("threshold")
    if parts["activation"] in ("topk", "abs_topk"):
        parts["k"] = cfg["k"]
    if parts["activation"] == "gated":
        biases = (source.tensor(name) for name in ("b_gate", "r_mag", "b_mag"))
        parts |= gated(source.file, parts["encoder"], *biases)
    if cfg.get("rescale_acts_by_decoder_norm", False):
        _fold_norms(parts)
    left = _left(cfg) + _fold_scaling(source, cfg, parts)
    unknown = (name for name in source.contents if name not in (*_TENSORS, _UNIT))
    return build(source.file, left=(*left, *(f"tensor {name}" for name in unknown)), **parts)


def save(sae: StoredSAE, folder: Path) -> None:
    """Write an inference folder, if SAELens has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    config = sae.config
    refuse(
        sae.config,
        "SAELens",
        activation=("topk", "relu", "jumprelu"),
        normalization=tuple(NORMALIZATIONS.values()),
        skip_connection=(False,),
        d_out=(0,),
    )
    theirs = {ours: name for name, ours in reversed(NORMALIZATIONS.items())}
    cfg: dict[str, Any] = {
        "architecture": _WRITTEN[config.activation],
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
    function = cfg.get("activation_fn_str", cfg.get("activation_fn"))
    kwargs = cfg.get("activation_fn_kwargs") or {}
    if function == "topk":
        cfg["architecture"] = "topk"
    elif function not in (None, "relu"):
        cfg["architecture"] = function  # such as "tanh-relu": refused by its name
    if cfg["architecture"] == "topk" and "k" not in cfg and isinstance(kwargs, dict):
        cfg |= {"k": kwargs["k"]} if "k" in kwargs else {}
    normalize = cfg.get("normalize_activations") or "none"
    cfg["normalize_activations"] = "expected_average_only_in" if normalize is True else normalize
    return cfg


def _check(source: Source, cfg: dict[str, Any]) -> None:
    path = source.sidecar_file
    for key in ("d_in", "d_sae", *(("k",) if "topk" in str(cfg["architecture"]) else ())):
        if key not in cfg and cfg["architecture"] not in _REASONS:
            raise ValueError(f"{path} is no SAE configuration: it has no {key!r}")
    for key, known in (("architecture", ACTIVATIONS), ("normalize_activations", NORMALIZATIONS)):
        if not isinstance(cfg[key], str) or cfg[key] not in known:
            why = _REASONS.get(str(cfg[key])) or f"only {', '.join(known)}"
            raise ValueError(f"{path}: {key} = {cfg[key]!r} is not supported: {why}")


def _left(cfg: dict[str, Any]) -> tuple[str, ...]:
    metadata = cfg.get("metadata") or cfg
    if not isinstance(metadata, dict):
        return ()
    names = ("model_name", "hook_name", "hook_point", "hook_head_index", "dataset_path")
    left = [f"{name} = {metadata[name]}" for name in names if metadata.get(name) is not None]
    if cfg.get("reshape_activations", "none") != "none":
        left.append(f"reshape_activations = {cfg['reshape_activations']}: join the heads yourself")
    return tuple(left)


def _fold_norms(parts: dict[str, Any]) -> None:
    norms = torch.linalg.vector_norm(parts["decoder"], dim=1, keepdim=True)  # (L, 1)
    # A latent whose row is zero is never active, and must stay so.
    parts["encoder"] = parts["encoder"] * norms
    if parts["encoder_bias"] is not None:
        parts["encoder_bias"] = parts["encoder_bias"] * norms.squeeze(1)
    parts["decoder"] = parts["decoder"] * (1 / norms.where(norms > 0, 1))


def _fold_scaling(source: Source, cfg: dict[str, Any], parts: dict[str, Any]) -> tuple[str, ...]:
    """Fold in what SAELens multiplies the activations with; return what is not known of that.

    That is a checkpoint's own factor while training is not over, or what only the registry knows.
    """
    factor = _factor(source.file.with_name(SCALER))
    averaged = cfg["normalize_activations"] == "expected_average_only_in"
    if factor is None and averaged:
        factor = source.scaling
    if factor is None:
        return (f"{_AVERAGED}: no factor is known, so none is folded",) if averaged else ()
    for name, by in (("encoder", factor), ("decoder", 1 / factor), ("b_dec", 1 / factor)):
        parts[name] = parts[name] * by
    return ()


def _factor(scaler: Path) -> float | None:
    if not scaler.is_file():
        return None
    try:
        factor = json.loads(scaler.read_text())["scaling_factor"]
        if factor is None:
            return None
        number = float(factor)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{scaler}: expected a number under 'scaling_factor': {error!r}"
        ) from error
    if not 0 < number < math.inf:
        raise ValueError(f"{scaler}: 'scaling_factor' must be positive, not {number}")
    return number
