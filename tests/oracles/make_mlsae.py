"""Multi-layer SAEs of mlsae, by its own class.

Run with the path of a checkout of https://github.com/tim-lawson/mlsae.
"""

import sys
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Result, parameters
from checkout import take
from torch import Tensor

COMMIT = "ba90c518893ead6d856b08821fa6aabb61a3be61"
K = 3


def main(cls: Any) -> None:
    """Write model.safetensors and config.json, standardized and not."""
    for seed, name, standardize in ((800, "", True), (801, "-not-standardized", False)):
        p = parameters(seed)
        files = case.new_case(f"mlsae{name}")
        config = {
            "n_inputs": D, "n_latents": L, "k": K, "dead_steps_threshold": 76, "auxk": 2,
            "dead_threshold": 0.001, "standardize": standardize,
        }  # fmt: skip
        sae = cls(**config)
        tensors = {
            "encoder.weight": p.encoder,
            "decoder.weight": p.decoder.T,
            "pre_encoder_bias": p.b_dec,
            "last_nonzero": torch.zeros(L, dtype=torch.int64),
        }
        sae.load_state_dict(tensors)
        case.write_safetensors(files / "model.safetensors", tensors)
        case.write_json(files / "config.json", config)

        def run(x: Tensor, sae: Any = sae) -> Result:
            out = sae(x[None, None])
            codes = torch.zeros(1, 1, len(x), L).scatter(-1, out.topk.indices, out.topk.values)
            return Result(codes[0, 0], out.recons[0, 0])

        case.finish(
            files, ["model.safetensors", "."], p.x, run, decoder=p.decoder, encoder=p.encoder,
            oracle="mlsae, MLSAE", version=COMMIT,
            command="python tests/oracles/make_mlsae.py CHECKOUT",
        )  # fmt: skip


if __name__ == "__main__":
    main(take(Path(sys.argv[1]), "mlsae.model.autoencoder", "loguru").MLSAE)
