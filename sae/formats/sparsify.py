"""SAE folders of EleutherAI/sparsify (https://github.com/EleutherAI/sparsify), old and new."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.files import atomic_write
from ..config import SAEConfig
from .layouts import SPARSIFY
from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, checked, make_config, refuse
from .tensors import save_tensors

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "cfg.json", SPARSIFY
EXTENDED = "twinsae."
"""Before the name of an activation that is not, or not quite, sparsify's."""

_FIELDS = (
    "d_in", "num_latents", "expansion_factor", "k", "normalize_decoder", "activation",
    "skip_connection", "transcode", "normalization", "d_out", "prefixes",
)  # fmt: skip
_OTHERS = ("encoder.bias", "b_dec", "threshold", "r_mag", "mag_bias", "W_skip")


def save(sae: StoredSAE, folder: Path) -> None:
    """Write the folder, if sparsify has such SAEs.

    Raises:
        ValueError: it has not; the message names the setting.
        OSError: the write failed.
    """
    refuse(
        sae.config,
        "sparsify",
        activation=("topk", "groupmax"),
        normalization=("none",),
        d_out=(0,),
    )
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


def names_of(source: Source) -> Names:
    """Return what the tensors are called: those of today, or of June 2024."""
    shapes, cfg = source.shapes, source.sidecar
    old = "encoder.weight" not in shapes and "W_enc" in shapes
    num_latents, d_in = sizes_in(cfg, "num_latents", "d_in")
    return Names(
        "W_enc" if old else "encoder.weight",
        "W_dec",
        ("encoder.bias", "b_enc", "threshold"),
        ("b_dec",),
        num_latents=num_latents,
        d_in=d_in,
        layout=None if old else "LD/LD",
        family=f"{WEIGHTS} of sparsify",
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE of a folder of sparsify's or ours, old or new.

    Its parameters have the file's floating-point dtype and are memory-mapped: they are read when
    used, and changing them changes memory only.

    Raises:
        FileNotFoundError: the folder lacks cfg.json.
        ValueError: a file is corrupt, the configuration asks for what this class cannot do (the
            message names the setting), or a tensor is missing or has the wrong shape.
    """
    cfg = source.sidecar
    if source.sidecar_file is None:
        raise FileNotFoundError(f"{source.path} is no SAE folder: it has no {CONFIG}")
    path = source.sidecar_file
    if "d_in" not in cfg:
        raise ValueError(f"{path} is no SAE configuration: it has no 'd_in'")
    fields = {key: cfg[key] for key in _FIELDS if key in cfg}
    fields["activation"] = str(fields.get("activation", "topk")).removeprefix(EXTENDED)
    if cfg.get("signed", False):
        fields["activation"] = "abs_topk"
    if fields.get("expansion_factor") == 0:
        del fields["expansion_factor"]
    if isinstance(fields.get("prefixes"), list):
        fields["prefixes"] = tuple(fields["prefixes"])
    config = make_config(path, fields)
    names = names_of(source)
    tensors: dict[str, Tensor] = {
        "encoder.weight": source.matrix(names, "encoder"),
        "W_dec": source.matrix(names, "decoder"),
    }
    for name, ours in (("b_enc", "encoder.bias"), *((n, n) for n in _OTHERS)):
        if name in source.contents:
            tensors[ours] = source.tensor(name)
    left = tuple(f"{key} = {cfg[key]}" for key in ("multi_topk",) if cfg.get(key))
    return StoredSAE(config, checked(config, tensors, source.file), left)
