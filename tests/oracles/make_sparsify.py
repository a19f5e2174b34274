"""Folders of sparsify: SAEs and transcoders, of its first days and of today."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Parameters, Result, parameters
from sparsify import SparseCoder
from torch import Tensor

COMMAND = "python tests/oracles/make_sparsify.py"
K = 5
FOLDER = "layers.6.mlp"
TODAY = {
    "activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": L,
    "k": K, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D,
}  # fmt: skip
EARLY = {
    "expansion_factor": 32, "normalize_decoder": True, "num_latents": L, "k": K,
    "multi_topk": False, "d_in": D,
}  # fmt: skip
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("topk", TODAY),
    ("topk-not-normalized", TODAY | {"normalize_decoder": False}),
    ("groupmax", TODAY | {"activation": "groupmax"}),
    ("transcode", TODAY | {"transcode": True}),
    ("transcode-groupmax", TODAY | {"transcode": True, "activation": "groupmax"}),
    ("skip", TODAY | {"transcode": True, "skip_connection": True}),
    ("skip-of-an-sae", TODAY | {"skip_connection": True}),
    ("before-transcode", EARLY),
    ("skip-before-transcode", EARLY | {"skip_connection": True}),
    ("expansion-factor", TODAY | {"num_latents": 0, "expansion_factor": 2}),
    ("factor-zero", TODAY | {"expansion_factor": 0}),
    ("square", TODAY | {"num_latents": D, "k": 3}),
    ("narrower-than-the-model", TODAY | {"num_latents": 4, "k": 2}),
)


def tensors_of(p: Parameters, cfg: dict[str, Any]) -> dict[str, Tensor]:
    """Return sae.safetensors."""
    tensors = {
        "encoder.weight": p.encoder, "encoder.bias": p.b_enc, "W_dec": p.decoder, "b_dec": p.b_dec,
    }  # fmt: skip
    return tensors | ({"W_skip": p.skip} if cfg.get("skip_connection") else {})


def run(sae: SparseCoder, x: Tensor) -> Result:
    """Return dense codes and the reconstruction."""
    out = sae(x)
    zeros = torch.zeros(len(x), sae.num_latents)
    return Result(zeros.scatter(1, out.latent_indices, out.latent_acts), out.sae_out)


def finish(files: Path, sae: SparseCoder, x: Tensor, oracle: str) -> None:
    """Write what sparsify makes of the inputs."""
    case.finish(
        files,
        [FOLDER],
        x,
        lambda inputs: run(sae, inputs),
        decoder=sae.W_dec,
        encoder=sae.encoder.weight,
        oracle=f"sparsify, {oracle}",
        version=version("eai-sparsify"),
        command=COMMAND,
    )


def today() -> None:
    """Write what today's loader takes."""
    for seed, (name, cfg) in enumerate(CASES, 400):
        latents = cfg["num_latents"] or D * cfg["expansion_factor"]
        p = parameters(seed, latents=latents)
        files = case.new_case(f"sparsify-{name}")
        case.write_json(files / FOLDER / "cfg.json", cfg)
        case.write_safetensors(files / FOLDER / "sae.safetensors", tensors_of(p, cfg))
        finish(files, SparseCoder.load_from_disk(files / FOLDER), p.x, "SparseCoder.load_from_disk")


def first_days() -> None:
    """Write names of June 2024; the same numbers by today's names are the oracle."""
    for seed, name, cfg in (
        (450, "", EARLY),
        (451, "-signed-false", EARLY | {"signed": False}),
    ):
        p = parameters(seed)
        files = case.new_case(f"sparsify-june-2024{name}")
        folder = files / FOLDER
        case.write_json(folder / "cfg.json", cfg)
        case.write_safetensors(folder / "sae.safetensors", tensors_of(p, cfg))
        sae = SparseCoder.load_from_disk(folder)
        old = {"W_enc": p.encoder.T, "b_enc": p.b_enc, "W_dec": p.decoder, "b_dec": p.b_dec}
        case.write_safetensors(folder / "sae.safetensors", old)
        finish(files, sae, p.x, "SparseCoder.load_from_disk of the same by today's names")


if __name__ == "__main__":
    today()
    first_days()
