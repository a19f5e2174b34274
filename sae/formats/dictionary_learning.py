"""Folders of dictionary_learning (https://github.com/saprmarks/dictionary_learning)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.files import atomic_write
from .arrays import read_pt, save_pt
from .paths import DICTIONARY_LEARNING
from .stored import StoredSAE, checked, encoder_bias, make_config, read_json, refuse, turned

WEIGHTS, CONFIG = DICTIONARY_LEARNING, "config.json"
TOPK, STANDARD, JUMP = "AutoEncoderTopK", "AutoEncoderNew", "JumpReluAutoEncoder"
BATCHES = ("BatchTopKSAE", "MatryoshkaBatchTopKSAE")


def load(path: Path) -> StoredSAE:
    """Return the SAE of a trainer's folder, or of one ``.pt`` file in it or in its checkpoints.

    The class is what ``config.json`` says, else what the tensors' names tell. It computes what that
    class does once loaded: BatchTopK by its threshold, AutoEncoder with the decoder's norms moved
    to the encoder.

    Raises:
        FileNotFoundError: there is no ``ae.pt``.
        ValueError: the file is corrupt, or its class is not supported.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{path} is no SAE folder: it has no {WEIGHTS}")
    state = read_pt(file)
    config = _config_of(file)
    kind = config.get("trainer", {}).get("dict_class") or _infer(file, state)
    fields: dict[str, Any] = {"normalize_decoder": False, "activation": "relu"}
    left = [] if config else [f"the class: {CONFIG} is missing, {kind} is assumed"]
    if kind in (TOPK, *BATCHES):
        threshold = float(state["threshold"]) if "threshold" in state else -1.0
        if kind == TOPK:
            fields |= {"activation": "topk", "k": int(state["k"]), "normalize_decoder": True}
            left += [f"threshold = {threshold:g}"] if threshold >= 0 else []
        elif threshold >= 0:
            fields["activation"] = "jumprelu"
    elif kind in (STANDARD, JUMP):
        fields["transcode"] = True
        fields["activation"] = "jumprelu" if kind == JUMP else "relu"
    elif kind != "AutoEncoder":
        raise ValueError(f"{file}: dict_class = {kind!r} is not supported")
    ours = _tensors(state)
    fields["num_latents"], fields["d_in"] = _shape(file, ours)
    if fields["activation"] == "jumprelu":
        ours["threshold"] = ours["threshold"].float().expand(fields["num_latents"])
    sae_config = make_config(file, fields)
    ours = checked(sae_config, ours, file)
    if kind == "AutoEncoder":
        _fold_norms(ours)
    return StoredSAE(sae_config, ours, (*left, *_left(config)))


def save(sae: StoredSAE, folder: Path) -> None:
    """Write ``ae.pt`` and ``config.json``, if it has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    refuse(
        sae.config,
        "dictionary_learning",
        activation=("topk", "relu", "jumprelu"),
        skip_connection=(False,),
        normalization=("none",),
    )
    config, ours = sae.config, sae.tensors
    kind = {"topk": TOPK, "relu": STANDARD, "jumprelu": JUMP}[config.activation]
    bias = encoder_bias(sae, subtracts=kind == TOPK)
    if kind == JUMP:
        state = {
            "W_enc": turned(ours["encoder.weight"]),
            "b_enc": bias,
            "W_dec": ours["W_dec"],
            "b_dec": ours["b_dec"],
            "threshold": ours["threshold"],
        }
    else:
        state = {
            "encoder.weight": ours["encoder.weight"],
            "encoder.bias": bias,
            "decoder.weight": turned(ours["W_dec"]),
            "b_dec" if kind == TOPK else "decoder.bias": ours["b_dec"],
        }
    trainer = {
        "dict_class": kind,
        "activation_dim": config.d_in,
        "dict_size": config.num_latents,
    }
    if kind == TOPK:
        trainer["k"] = config.k
        state["k"] = torch.tensor(config.k, dtype=torch.int32)
        state["threshold"] = torch.tensor(-1.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_pt(folder / WEIGHTS, state)
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps({"trainer": trainer}, indent=4))


def _config_of(file: Path) -> dict[str, Any]:
    for folder in (file.parent, file.parent.parent):  # of checkpoints/ae_<step>.pt
        if (folder / CONFIG).is_file():
            return read_json(folder / CONFIG)
    return {}


def _infer(file: Path, state: Mapping[str, Any]) -> str:
    if "gate_bias" in state:
        return "GatedAutoEncoder"
    if "group_sizes" in state:
        return "MatryoshkaBatchTopKSAE"
    for name, kind in (("k", TOPK), ("W_enc", JUMP), ("bias", "AutoEncoder")):
        if name in state:
            return kind
    if "decoder.bias" in state:
        return STANDARD
    raise ValueError(f"{file} is of no known class; it holds: {', '.join(state)}")


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    ours = {name: state[name] for name in ("encoder.weight", "encoder.bias") if name in state}
    for theirs, name in (
        ("b_enc", "encoder.bias"),
        ("b_dec", "b_dec"),
        ("bias", "b_dec"),
        ("decoder.bias", "b_dec"),
        ("W_dec", "W_dec"),
        ("threshold", "threshold"),
    ):
        if theirs in state:
            ours[name] = state[theirs]
    for theirs, name in (("W_enc", "encoder.weight"), ("decoder.weight", "W_dec")):
        if theirs in state:
            ours[name] = turned(state[theirs])
    return ours


def _shape(file: Path, ours: Mapping[str, Tensor]) -> tuple[int, int]:
    if "encoder.weight" not in ours or ours["encoder.weight"].ndim != 2:
        raise ValueError(f"{file} has no encoder; it holds: {', '.join(ours)}")
    num_latents, d_in = ours["encoder.weight"].shape
    return num_latents, d_in


def _left(config: Mapping[str, Any]) -> tuple[str, ...]:
    trainer = config.get("trainer", {})
    names = ("lm_name", "layer", "submodule_name", "lr", "steps", "seed")
    return tuple(f"{name} = {trainer[name]}" for name in names if trainer.get(name) is not None)


def _fold_norms(tensors: dict[str, Tensor]) -> None:
    norms = torch.linalg.vector_norm(tensors["W_dec"], dim=1, keepdim=True)  # (L, 1)
    safe = norms.where(norms > 0, 1)
    tensors["W_dec"] = tensors["W_dec"] / safe
    tensors["encoder.weight"] = tensors["encoder.weight"] * safe
    tensors["encoder.bias"] = tensors["encoder.bias"] * safe.squeeze(1)
