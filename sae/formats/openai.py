"""Single files of openai/sparse_autoencoder (https://github.com/openai/sparse_autoencoder)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .orientation import Names
from .pt import save_pt
from .source import Source, is_whole
from .stored import StoredSAE, build, encoder_bias, refuse
from .turning import turned

# The activation decides the normalisation, which is not stored.
ACTIVATIONS = {"TopK": ("topk", "layer_norm"), "ReLU": ("relu", "none")}
TIED = "decoder.linear.weight"
_STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    # A tied decoder holds the encoder's layer, (L, D).
    decoder = "encoder.weight" if TIED in source.shapes else "decoder.weight"
    tied = decoder == "encoder.weight"
    return Names(
        "encoder.weight",
        decoder,
        ("latent_bias",),
        ("pre_bias",),
        linear=not tied,
        layout="LD/LD" if tied else None,
        family="a tied decoder",
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE of a ``.pt`` file.

    Raises:
        ValueError: a tensor or k is missing, or its activation is neither TopK nor ReLU.
    """
    names, state = names_of(source), source.contents
    settings = state.get("activation_state_dict") or {}
    if not isinstance(settings, dict):
        raise ValueError(f"{source.file}: 'activation_state_dict' must be a dict, not {settings!r}")
    settings = dict(settings)
    for name in ("k", "postact_fn"):
        if f"activation.{name}" in state:
            settings.setdefault(name, state[f"activation.{name}"])
    activation = state.get("activation", "TopK" if "k" in settings else "ReLU")
    after = settings.get("postact_fn", "ReLU")
    if not isinstance(activation, str) or activation not in ACTIVATIONS or after != "ReLU":
        raise source.refused(f"activation = {activation!r}, {after!r}")
    kind, normalization = ACTIVATIONS[activation]
    fields: dict[str, Any] = {"k": _k(source, settings)} if kind == "topk" else {}
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.tensor("latent_bias"),
        b_dec=source.tensor("pre_bias"),
        activation=kind,
        normalization=normalization,
        normalize_decoder=kind == "topk",
        left=tuple(f"tensor {name}" for name in _STATISTICS if name in state),
        **fields,
    )


def save(sae: StoredSAE, file: Path) -> None:
    """Write a ``.pt`` file, if it has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    config = sae.config
    refuse(
        sae.config,
        "openai's format",
        activation=("topk", "relu"),
        skip_connection=(False,),
        d_out=(0,),
    )
    activation = "TopK" if config.activation == "topk" else "ReLU"
    refuse(
        sae.config, f"openai's format with {activation}", normalization=ACTIVATIONS[activation][1:]
    )
    ours = sae.tensors
    state: dict[str, Any] = {
        "pre_bias": ours["b_dec"],
        "latent_bias": encoder_bias(sae, subtracts=True),
        "encoder.weight": ours["encoder.weight"],
        "decoder.weight": turned(ours["W_dec"]),
        "stats_last_nonzero": torch.zeros(config.num_latents, dtype=torch.int64),
        "latents_activation_frequency": torch.zeros(config.num_latents),
        "latents_mean_square": torch.zeros(config.num_latents),
        "activation": activation,
    }
    if activation == "TopK":
        state["activation_state_dict"] = {"k": config.k, "postact_fn": "ReLU"}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_pt(file, state)


def _k(source: Source, settings: dict[str, Any]) -> int:
    k = settings.get("k")
    if isinstance(k, Tensor) and k.numel() == 1:
        k = k.item()
    if k is None or not is_whole(k):
        raise ValueError(f"{source.file}: activation TopK needs 'k', a whole number, not {k!r}")
    return int(k)
