"""SAEs of OpenSAE, by its own class, in one file and in shards.

Run with the path of a checkout of https://github.com/THU-KEG/OpenSAE.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Result, parameters
from checkout import take
from torch import Tensor

COMMIT = "978f094a7e2c6e0b09566fa35d6ead42110d5a35"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def main(model: Any) -> None:
    """Write model.safetensors and config.json, one of them sharded."""
    # It expects a name, of which today's transformers makes the type itself.
    model.OpenSaeConfig.get_torch_dtype = lambda _config: torch.float32
    torch.cuda.device = lambda _index: nullcontext()  # it asks for the GPU of its tensors
    for seed, name, settings in (
        (900, "", {}),
        (901, "-sharded", {}),
        (902, "-shifted-back", {"normalize_shift_back": True}),
        (903, "-not-normalized", {"input_normalize": False}),
    ):
        p, folder = parameters(seed), "OpenSAE-LLaMA-3.1-Layer_15"
        files = case.new_case(f"opensae{name}")
        config = {
            "hidden_size": D, "feature_size": L, "input_normalize": True,
            "normalize_shift_back": False, "input_normalize_eps": 1e-05, "k": 3,
            "input_hookpoint": "layers.15", "output_hookpoint": "layers.15",
            "model_name": "meta-llama/Llama-3.1-8B", "activation": "topk",
            "normalize_decoder": True, "decoder_impl": "torch", "multi_topk_multiplier": 0,
            "auxk_alpha": 0.03125, "l1_coef": None, "torch_dtype": "float32",
        } | settings  # fmt: skip
        tensors = {
            "encoder.weight": p.encoder,
            "encoder.bias": p.b_enc,
            "W_dec": p.decoder,
            "b_dec": p.b_dec,
        }
        sae = model.OpenSae(model.OpenSaeConfig(**config))
        sae.load_state_dict(tensors)
        if name == "-sharded":
            _write_shards(files / folder, tensors)
        else:
            case.write_safetensors(files / folder / "model.safetensors", tensors)
        case.write_json(files / folder / "config.json", {"architectures": ["OpenSae"], **config})

        def run(x: Tensor, sae: Any = sae) -> Result:
            found = sae.encode(x)
            indices, values = found.sparse_feature_indices, found.sparse_feature_activations
            out = sae.decode(indices, values, found.input_mean, found.input_std).sae_output
            return Result(torch.zeros(len(x), L).scatter(1, indices, values), out)

        case.finish(
            files, [folder], p.x, run, decoder=p.decoder, encoder=p.encoder,
            oracle="OpenSAE, OpenSae", version=COMMIT,
            command="python tests/oracles/make_opensae.py CHECKOUT",
        )  # fmt: skip


def _write_shards(folder: Path, tensors: dict[str, Tensor]) -> None:
    places = {name: SHARDS[name in ("W_dec", "b_dec")] for name in tensors}
    for shard in SHARDS:
        case.write_safetensors(
            folder / shard, {name: tensors[name] for name in tensors if places[name] == shard}
        )
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    case.write_json(folder / "model.safetensors.index.json", index)


if __name__ == "__main__":
    with torch.no_grad():
        main(take(Path(sys.argv[1]) / "src", "opensae.saes.open_sae.modeling_open_sae"))
