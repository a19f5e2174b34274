"""Single files of openai/sparse_autoencoder (https://github.com/openai/sparse_autoencoder)."""

from pathlib import Path
from typing import Any

import torch

from .arrays import read_pt, save_pt
from .stored import StoredSAE, checked, encoder_bias, make_config, refuse, turned

# The activation decides the normalisation, which is not stored.
ACTIVATIONS = {"TopK": ("topk", "layer_norm"), "ReLU": ("relu", "none")}
_STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")


def load(file: Path) -> StoredSAE:
    """Return the SAE of a ``.pt`` file.

    Raises:
        ValueError: the file is corrupt, or its activation is neither TopK nor ReLU.
    """
    state = read_pt(file)
    settings = dict(state.get("activation_state_dict") or {})
    for name in ("k", "postact_fn"):
        if f"activation.{name}" in state:
            settings.setdefault(name, state[f"activation.{name}"])
    activation = state.get("activation", "TopK" if "k" in settings else "ReLU")
    after = settings.get("postact_fn", "ReLU")
    if activation not in ACTIVATIONS or after != "ReLU":
        raise ValueError(f"{file}: activation = {activation!r}, {after!r} is not supported")
    ours = {
        "encoder.weight": state["encoder.weight"],
        "encoder.bias": state["latent_bias"],
        "W_dec": turned(state["decoder.weight"]),
        "b_dec": state["pre_bias"],
    }
    num_latents, d_in = ours["encoder.weight"].shape
    kind, normalization = ACTIVATIONS[activation]
    fields: dict[str, Any] = {
        "d_in": d_in,
        "num_latents": num_latents,
        "activation": kind,
        "normalization": normalization,
        "normalize_decoder": kind == "topk",
    }
    if kind == "topk":
        fields["k"] = int(settings["k"])
    left = tuple(f"tensor {name}" for name in _STATISTICS if name in state)
    config = make_config(file, fields)
    return StoredSAE(config, checked(config, ours, file), left)


def save(sae: StoredSAE, file: Path) -> None:
    """Write a ``.pt`` file, if it has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    config = sae.config
    refuse(sae.config, "openai's format", activation=("topk", "relu"), skip_connection=(False,))
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
