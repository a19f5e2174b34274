"""SAEs of OpenAI's GPT-2 small, by its own class.

Run with the path of a checkout of https://github.com/openai/sparse_autoencoder.
"""

import sys
from pathlib import Path
from typing import Any

import case
from case import D, L, Result, parameters
from checkout import take
from torch import Tensor

COMMIT = "4965b941e9eb590b00b253a2c406db1e1b193942"


def main(autoencoder: Any) -> None:
    """Write {layer}.pt of version 5 (TopK, layer norm) and of versions 1 and 4 (ReLU)."""
    for seed, name, settings in (
        (600, "topk", {"activation": "TopK",
                       "activation_state_dict": {"k": 3, "postact_fn": "ReLU"}}),
        (601, "topk-identity", {"activation": "TopK",
                                "activation_state_dict": {"k": 3, "postact_fn": "Identity"}}),
        (602, "relu", {"activation": "ReLU", "activation_state_dict": {}}),
        (603, "relu-without-a-name", {}),
    ):  # fmt: skip
        p = parameters(seed)
        tensors = {
            "pre_bias": p.b_dec,
            "latent_bias": p.b_enc,
            "encoder.weight": p.encoder,
            "decoder.weight": p.decoder.T,
        } | _buffers(autoencoder)
        files = case.new_case(f"openai-{name}")
        case.write_pt(files / "8.pt", tensors | settings)
        sae = autoencoder.from_state_dict(tensors | settings)
        refused = {"load": "Identity"} if name == "topk-identity" else None
        finish(files, p.x, sae, (p.decoder, p.encoder), "Autoencoder.from_state_dict", refused)

    p = parameters(604)
    sae = autoencoder(*p.encoder.shape, tied=True)
    tensors = {
        "pre_bias": p.b_dec,
        "latent_bias": p.b_enc,
        "encoder.weight": p.encoder,
        "decoder.linear.weight": p.encoder,
    } | _buffers(autoencoder)
    sae.load_state_dict(tensors)
    files = case.new_case("openai-tied")
    case.write_pt(files / "8.pt", tensors)
    finish(files, p.x, sae, (p.encoder, p.encoder), "Autoencoder(tied=True)")


def _buffers(autoencoder: Any) -> dict[str, Tensor]:
    state = autoencoder(L, D).state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith(("latents", "stats"))}


def finish(
    files: Path,
    x: Tensor,
    sae: Any,
    sides: tuple[Tensor, Tensor],
    oracle: str,
    refused: dict[str, str] | None = None,
) -> None:
    """Write what the class makes of the inputs."""

    def run(inputs: Tensor) -> Result:
        codes, info = sae.encode(inputs)
        return Result(codes, sae.decode(codes, info))

    case.finish(
        files,
        ["8.pt"],
        x,
        run,
        decoder=sides[0],
        encoder=sides[1],
        oracle=f"sparse_autoencoder, {oracle}",
        version=COMMIT,
        command="python tests/oracles/make_openai.py CHECKOUT",
        refused=refused,
    )


if __name__ == "__main__":
    main(take(Path(sys.argv[1]), "sparse_autoencoder.model").Autoencoder)
