"""SAE folders in sparsify's layout: ``cfg.json`` and ``sae.safetensors``, readable by both.

Layout and keys are those of EleutherAI/sparsify 1.3 (https://github.com/EleutherAI/sparsify).
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import SAEConfig
from ..model import SAE
from .dictionary import WEIGHTS
from .files import StrPath, atomic_write
from .tensors import map_tensors, save_tensors

CONFIG = "cfg.json"
# Training-time variants that change what the weights mean: (key, the one value we can represent).
_REQUIRED = (
    ("activation", "topk"),
    ("skip_connection", False),
    ("transcode", False),
    ("signed", False),
)


def save_sae(sae: SAE, folder: StrPath) -> None:
    """Write ``folder/cfg.json`` and ``folder/sae.safetensors``, each atomically.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, sae.state_dict())
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(_to_cfg(sae.config)))


def load_sae(folder: StrPath) -> SAE:
    """Return the SAE of a folder written by `save_sae` or by sparsify.

    Its parameters have the file's floating-point dtype and are memory-mapped: they are read when
    used, and changing them changes memory only.

    Raises:
        FileNotFoundError: ``folder`` lacks one of the two files.
        ValueError: a file is corrupt, the configuration asks for what this class cannot do (the
            message names the setting), or a tensor is missing or has the wrong shape.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no SAE folder: it has no {name}")
    config = _read_cfg(folder / CONFIG)
    tensors = map_tensors(folder / WEIGHTS)
    with torch.device("meta"):
        sae = SAE(config)
    shapes = {name: parameter.shape for name, parameter in sae.named_parameters()}
    _check_tensors(folder / WEIGHTS, tensors, shapes)
    dtype = tensors["encoder.weight"].dtype
    sae.load_state_dict({name: tensors[name].to(dtype) for name in shapes}, assign=True)
    return sae


def _to_cfg(config: SAEConfig) -> dict[str, Any]:
    return {
        "activation": "topk",
        "expansion_factor": config.expansion_factor,
        "normalize_decoder": config.normalize_decoder,
        "num_latents": config.num_latents,
        "k": config.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": config.d_in,
    }


def _read_cfg(path: Path) -> SAEConfig:
    try:
        cfg = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(cfg, dict) or "d_in" not in cfg:
        raise ValueError(f"{path} is no SAE configuration: it has no 'd_in'")
    for key, supported in _REQUIRED:
        if cfg.get(key, supported) != supported:
            raise ValueError(f"{path}: {key} = {cfg[key]!r} is not supported, only {supported!r}")
    known = ("d_in", "num_latents", "expansion_factor", "k", "normalize_decoder")
    fields = {key: cfg[key] for key in known if key in cfg}
    for key, value in fields.items():
        expected = bool if key == "normalize_decoder" else int
        if type(value) is not expected:
            raise ValueError(f"{path}: {key} must be {expected.__name__}, not {value!r}")
    try:
        return SAEConfig(**fields)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_tensors(path: Path, tensors: dict[str, Tensor], shapes: dict[str, torch.Size]) -> None:
    for name, shape in shapes.items():
        if name not in tensors:
            raise ValueError(f"{path} has no tensor {name!r}; it holds: {', '.join(tensors)}")
        tensor = tensors[name]
        if tensor.shape != shape or not tensor.is_floating_point():
            raise ValueError(
                f"{path}: {name!r} is {tensor.dtype} {tuple(tensor.shape)}, but {CONFIG} asks for "
                f"floating-point {tuple(shape)}"
            )
