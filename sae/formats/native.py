"""SAE folders in our layout: sparsify's ``cfg.json`` and ``sae.safetensors``, extended.

Layout and keys are those of EleutherAI/sparsify 1.3 (https://github.com/EleutherAI/sparsify) for
all SAEs that it has. Those that it has not name an activation that it refuses.
"""

from pathlib import Path
from typing import Any

from ..config import SAEConfig
from .sparsify import CONFIG, WEIGHTS, read_fields, read_left, read_tensors, to_cfg, write
from .stored import StoredSAE, check_files, checked, make_config, read_json

_OURS = "twinsae."  # before the name of an activation that is not, or not quite, sparsify's


def save(sae: StoredSAE, folder: Path) -> None:
    """Write ``folder/cfg.json`` and ``folder/sae.safetensors``, each atomically.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    write(sae, folder, _to_cfg(sae.config))


def load(folder: Path) -> StoredSAE:
    """Return the SAE of a folder written by `save` or by sparsify, old or new.

    Its parameters have the file's floating-point dtype and are memory-mapped: they are read when
    used, and changing them changes memory only.

    Raises:
        FileNotFoundError: ``folder`` lacks one of the two files.
        ValueError: a file is corrupt, the configuration asks for what this class cannot do (the
            message names the setting), or a tensor is missing or has the wrong shape.
    """
    check_files(folder, CONFIG, WEIGHTS)
    path = folder / CONFIG
    cfg = read_json(path)
    fields = read_fields(path, cfg)
    fields["activation"] = str(fields.get("activation", "topk")).removeprefix(_OURS)
    if "normalization" in cfg:
        fields["normalization"] = cfg["normalization"]
    config = make_config(path, fields)
    file = folder / WEIGHTS
    return StoredSAE(config, checked(config, read_tensors(file, config), file), read_left(cfg))


def _to_cfg(config: SAEConfig) -> dict[str, Any]:
    cfg = to_cfg(config)
    if config.activation not in ("topk", "groupmax") or config.normalization != "none":
        # sparsify ignores keys that it does not know, and would compute something else.
        cfg |= {"activation": _OURS + config.activation, "normalization": config.normalization}
    return cfg
