"""How well the pooled SAE reconstructs, beside the SAEs that it is made of."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...common.progress import Progress
from ...sae import SAE
from ...sae.evaluation.activations import measure
from ...sae.formats.stored import StoredSAE
from .assemble import Split, only
from .directions import Members

_WAYS = ("", "members", "equal")


def compare(
    pooled: SAE, saes: Mapping[str, SAE], found: Members, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure all on the last quarter of the tokens; see `pool` for what is returned."""
    progress("measure", 0, 2, "passes")
    (measured,) = measure({"": pooled}, ((x, x) for x in split.test())).values()
    progress("measure", 1, 2, "passes")
    every = {}
    for (name, sae), place in zip(saes.items(), found.place, strict=True):
        every[name, ""] = sae
        if (place >= 0).any():
            every[name, "members"] = only(sae, np.flatnonzero(place >= 0))
        if sae.config.k:
            every[name, "equal"] = _with_k(sae, max(1, round(measured.l0)))
    others = measure({"/".join(key): sae for key, sae in every.items()},
                     ((x, x) for x in split.test()))  # fmt: skip
    progress("measure", 2, 2, "passes")
    seeds: list[dict[str, Any]] = []
    for name in saes:
        seed: dict[str, Any] = {"name": name}
        for way in _WAYS:
            if (name, way) in every:
                found_of = others[f"{name}/{way}"]
                prefix = f"{way}_" if way else ""
                seed[f"{prefix}latents"] = every[name, way].config.num_latents
                seed |= {f"{prefix}l0": found_of.l0, f"{prefix}fvu": found_of.fvu}
        seeds.append(seed)
    latents = pooled.config.num_latents
    return {"latents": latents, "l0": measured.l0, "fvu": measured.fvu, "seeds": seeds}


def _with_k(sae: SAE, k: int) -> SAE:
    """Return the SAE with another number of active latents."""
    stored = sae.stored()
    config = replace(stored.config, k=min(k, stored.config.num_latents))
    return SAE.from_stored(StoredSAE(config, stored.tensors))
