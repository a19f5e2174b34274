"""Folders of dictionary_learning (https://github.com/saprmarks/dictionary_learning).

``ae.pt`` holds tensors alone; ``config.json`` names the class. Without it, the class is inferred
from the tensors' names, and that is said.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.files import atomic_write
from .layouts import DICTIONARY_LEARNING
from .orientation import Names, sizes_in
from .pt import save_pt
from .source import BACKUP, Source
from .stored import StoredSAE, build, encoder_bias, gate_as_threshold, refuse
from .turning import turned

WEIGHTS, CONFIG = DICTIONARY_LEARNING, "config.json"
TOPK, STANDARD, JUMP, GATED = (
    "AutoEncoderTopK",
    "AutoEncoderNew",
    "JumpReluAutoEncoder",
    "GatedAutoEncoder",
)
BATCH, MATRYOSHKA = "BatchTopKSAE", "MatryoshkaBatchTopKSAE"
_NOTES = ("lm_name", "layer", "submodule_name", "lr", "steps", "seed")


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    shapes = source.shapes
    encoder = "encoder.weight" if "encoder.weight" in shapes else "W_enc"
    decoder = next((n for n in ("decoder.weight", "W_dec", "decoder") if n in shapes), "W_dec")
    trainer = _trainer(source)
    num_latents, d_in = sizes_in(trainer, "dict_size", "activation_dim")
    names = Names(
        encoder,
        decoder,
        ("encoder.bias", "b_enc", "gate_bias", "mag_bias", "r_mag", "threshold"),
        ("b_dec", "bias", "decoder_bias", "decoder.bias"),
        linear=encoder == "encoder.weight" and decoder == "decoder.weight",
        num_latents=num_latents,
        d_in=d_in,
    )
    if decoder == "decoder":  # of July 2024: a parameter, not a layer
        return names._replace(layout="LD/LD", family="the parameter 'decoder' of July 2024")
    if trainer.get("dict_class") in (JUMP, MATRYOSHKA) and encoder == "W_enc":
        return names._replace(layout="DL/LD", family=f"{trainer['dict_class']} in {CONFIG}")
    return names


def load(source: Source) -> StoredSAE:
    """Return the SAE of a trainer's folder, or of one ``.pt`` file in it or in its checkpoints.

    It computes what the class does once loaded: BatchTopK by its threshold, AutoEncoder with the
    decoder's norms moved to the encoder. A gated SAE is a JumpReLU one: with the magnitudes' scores
    p = exp(r_mag) h + mag_bias of h = W x, its gate h + gate_bias > 0 is p > mag_bias -
    exp(r_mag) gate_bias.

    Raises:
        ValueError: the file is corrupt, or its class is not supported.
    """
    if BACKUP in source.contents and "step" in source.contents:
        raise source.refused("a backup of a training that was not over")
    trainer = _trainer(source)
    kind = trainer.get("dict_class")
    assumed: tuple[str, ...] = ()
    if kind is None:
        kind = _infer(source)
        why = "does not name it" if source.sidecar else "is missing"
        assumed = (f"the class: {CONFIG} {why}, {kind} is assumed",)
    if not isinstance(kind, str) or kind not in _LOADERS:
        raise ValueError(f"{source.file}: dict_class = {kind!r} is not supported")
    notes = tuple(f"{name} = {trainer[name]}" for name in _NOTES if trainer.get(name) is not None)
    names = names_of(source)
    parts: dict[str, Any] = {
        "encoder": source.matrix(names, "encoder"),
        "decoder": source.matrix(names, "decoder"),
        "encoder_bias": source.optional("encoder.bias", "b_enc"),
        "b_dec": source.optional("b_dec", "bias", "decoder_bias", "decoder.bias"),
        "left": (),
    }
    _LOADERS[kind](source, trainer, parts)
    parts["left"] += (*assumed, *notes)
    return build(source.file, assumed=assumed, **parts)


def _topk(source: Source, trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    k = source.number("k") if "k" in source.contents else trainer.get("k")
    if isinstance(k, bool) or not isinstance(k, int):
        raise ValueError(f"{source.file} has no 'k', and no {CONFIG} says it as a whole number")
    parts |= {"k": k, "normalize_decoder": True}
    if "threshold" in source.contents:
        threshold = float(source.tensor("threshold").float().mean())
        parts["left"] = (f"threshold = {threshold:g}",) if threshold >= 0 else ()


def _batch_topk(source: Source, _trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    if "threshold" not in source.contents:
        raise source.refused(
            "a BatchTopK SAE without 'threshold': its codes depend on the batch; it"
        )
    threshold = source.tensor("threshold")
    fitted = bool((threshold >= 0).all())  # -1: never fitted, then relu alone
    parts |= (
        {"activation": "jumprelu", "threshold": threshold.float()}
        if fitted
        else {"activation": "relu"}
    )


def _jump(source: Source, _trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    parts |= {"activation": "jumprelu", "transcode": True, "threshold": source.tensor("threshold")}


def _standard(_source: Source, _trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    parts |= {"activation": "relu", "transcode": True}


def _folded(_source: Source, _trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    parts["activation"] = "relu"
    norms = torch.linalg.vector_norm(parts["decoder"], dim=1, keepdim=True)  # (L, 1)
    safe = norms.where(norms > 0, 1)
    parts["decoder"] = parts["decoder"] / safe
    parts["encoder"] = parts["encoder"] * safe
    if parts["encoder_bias"] is not None:
        parts["encoder_bias"] = parts["encoder_bias"] * safe.squeeze(1)


def _gated(source: Source, _trainer: dict[str, Any], parts: dict[str, Any]) -> None:
    parts |= gated(
        source.file,
        parts["encoder"],
        source.tensor("gate_bias"),
        source.tensor("r_mag"),
        source.tensor("mag_bias"),
    )


def gated(
    file: Path, encoder: Tensor, gate_bias: Tensor, r_mag: Tensor, mag_bias: Tensor
) -> dict[str, Any]:
    """Return a gated encoder's parts as those of a JumpReLU one; see `load`.

    Raises:
        ValueError: one of the vectors is not (L,).
    """
    for vector in (gate_bias, r_mag, mag_bias):
        if vector.shape != (len(encoder),):
            raise ValueError(
                f"{file}: a gated encoder of {len(encoder):,} latents has as many gate biases, "
                f"gains and magnitude biases, not {tuple(vector.shape)}"
            )
    rows, threshold = gate_as_threshold(encoder, gate_bias, r_mag, mag_bias)
    return {
        "encoder": rows,
        "encoder_bias": mag_bias,
        "threshold": threshold,
        "activation": "jumprelu",
    }


_LOADERS: dict[str, Callable[[Source, dict[str, Any], dict[str, Any]], None]] = {
    TOPK: _topk,
    BATCH: _batch_topk,
    MATRYOSHKA: _batch_topk,
    JUMP: _jump,
    STANDARD: _standard,
    "AutoEncoder": _folded,
    GATED: _gated,
}


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
        d_out=(0,),
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


def _trainer(source: Source) -> dict[str, Any]:
    trainer = source.sidecar.get("trainer", {})
    if not isinstance(trainer, dict):
        raise ValueError(f"{source.sidecar_file}: 'trainer' must be an object, not {trainer!r}")
    return trainer


def _infer(source: Source) -> str:
    names = source.contents
    if "gate_bias" in names:
        return GATED
    if "group_sizes" in names:
        return MATRYOSHKA
    for name, kind in (("k", TOPK), ("W_enc", JUMP), ("bias", "AutoEncoder")):
        if name in names:
            return kind
    if "decoder.bias" in names:
        return STANDARD
    raise ValueError(f"{source.file} is of no known class; it holds: {source.listed()}")
