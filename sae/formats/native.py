"""SAE folders in our layout: sparsify's ``cfg.json`` and ``sae.safetensors``, extended.

Layout and keys are those of EleutherAI/sparsify 1.3 (https://github.com/EleutherAI/sparsify) for
all SAEs that it has, and `sparsify.load` reads both. Those that it has not name an activation that
it refuses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import SAEConfig
from .sparsify import EXTENDED, to_cfg, write
from .stored import StoredSAE


def save(sae: StoredSAE, folder: Path, start: Mapping[str, str | None] | None = None) -> None:
    """Write ``folder/cfg.json`` and ``folder/sae.safetensors``, each atomically.

    Args:
        sae: what to write.
        folder: made if need be.
        start: which SAE its training began with, for cfg.json; nothing reads it but people.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    write(sae, folder, _to_cfg(sae.config) | ({"start": dict(start)} if start else {}))


def _to_cfg(config: SAEConfig) -> dict[str, Any]:
    cfg = to_cfg(config)
    sparsifys = config.activation in ("topk", "groupmax") and config.normalization == "none"
    if not sparsifys or config.d_out:
        # sparsify ignores keys that it does not know, and would compute something else.
        cfg |= {"activation": EXTENDED + config.activation, "normalization": config.normalization}
    if config.d_out:
        cfg["d_out"] = config.d_out
    if config.prefixes:
        cfg["prefixes"] = list(config.prefixes)
    return cfg
