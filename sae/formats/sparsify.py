"""SAE folders of EleutherAI/sparsify (https://github.com/EleutherAI/sparsify), old and new."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ...common.files import atomic_write
from ..config import SAEConfig
from .paths import SPARSIFY
from .stored import StoredSAE, refuse, turned
from .tensors import map_tensors, save_tensors

CONFIG, WEIGHTS = "cfg.json", SPARSIFY
_FIELDS = (
    "d_in", "num_latents", "expansion_factor", "k", "normalize_decoder", "activation",
    "skip_connection", "transcode",
)  # fmt: skip


def save(sae: StoredSAE, folder: Path) -> None:
    """Write the folder, if sparsify has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    refuse(sae.config, "sparsify", activation=("topk", "groupmax"), normalization=("none",))
    write(sae, folder, to_cfg(sae.config))


def write(sae: StoredSAE, folder: Path, cfg: dict[str, Any]) -> None:
    """Write sae.safetensors, and ``cfg`` to cfg.json, each atomically.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, sae.tensors)
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(cfg))


def to_cfg(config: SAEConfig) -> dict[str, Any]:
    """Return the content of cfg.json."""
    return {
        "activation": config.activation,
        "expansion_factor": config.expansion_factor,
        "normalize_decoder": config.normalize_decoder,
        "num_latents": config.num_latents,
        "k": config.k,
        "multi_topk": False,
        "skip_connection": config.skip_connection,
        "transcode": config.transcode,
        "d_in": config.d_in,
    }


def read_fields(path: Path, cfg: dict[str, Any]) -> dict[str, Any]:
    """Return what `cfg`, the content of ``path``, says of an SAEConfig.

    Raises:
        ValueError: it lacks d_in, or is of SAEs with negative values, which newer versions lack.
    """
    if "d_in" not in cfg:
        raise ValueError(f"{path} is no SAE configuration: it has no 'd_in'")
    if cfg.get("signed", False):
        raise ValueError(f"{path}: signed = {cfg['signed']!r} is not supported, only False")
    return {key: cfg[key] for key in _FIELDS if key in cfg}


def read_left(cfg: dict[str, Any]) -> tuple[str, ...]:
    """Return what a configuration says that concerns training only."""
    return tuple(f"{key} = {cfg[key]}" for key in ("multi_topk",) if cfg.get(key))


def read_tensors(file: Path, config: SAEConfig) -> dict[str, Tensor]:
    """Return the tensors of sae.safetensors, memory-mapped, by our names.

    Raises:
        ValueError: the file is corrupt.
    """
    tensors = map_tensors(file)
    if "W_enc" in tensors and "encoder.weight" not in tensors:  # the first versions' name
        weight = tensors["W_enc"]
        ours = (config.num_latents, config.d_in)
        tensors["encoder.weight"] = weight if weight.shape == ours else turned(weight)
    if "b_enc" in tensors:
        tensors.setdefault("encoder.bias", tensors["b_enc"])
    return tensors
