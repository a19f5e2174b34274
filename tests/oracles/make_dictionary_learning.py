"""Trainers' folders of dictionary_learning: each class, and what its files lacked over time."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import case
import torch
from case import D, L, Parameters, Result, parameters
from dictionary_learning import utils
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from torch import Tensor

COMMAND = "python tests/oracles/make_dictionary_learning.py"
K = 3
FOLDER = "TopK_pythia-160m-deduped__0108/resid_post_layer_8/trainer_3"
COUNT = torch.tensor(K, dtype=torch.int32)


def linear(p: Parameters) -> dict[str, Tensor]:
    """Return the matrices as linear layers."""
    return {"encoder.weight": p.encoder, "decoder.weight": p.decoder.T}


def batch(p: Parameters, threshold: float) -> dict[str, Tensor]:
    """Return a BatchTopK SAE."""
    biases = {"encoder.bias": p.b_enc, "b_dec": p.b_dec}
    return linear(p) | biases | {"k": COUNT, "threshold": torch.tensor(threshold)}


def gated(p: Parameters) -> dict[str, Tensor]:
    """Return a gated SAE; one latent's magnitude is on where its gate is off, and the reverse."""
    return linear(p) | {
        "decoder_bias": p.b_dec,
        "r_mag": p.skip.flatten()[:L],
        "gate_bias": p.b_enc,
        "mag_bias": p.threshold - 0.5,
    }


def matrices(p: Parameters) -> dict[str, Tensor]:
    """Return parameters of the classes that have no linear layers."""
    return {"W_enc": p.encoder.T, "W_dec": p.decoder, "b_enc": p.b_enc, "b_dec": p.b_dec}


def matryoshka(p: Parameters) -> dict[str, Tensor]:
    """Return a Matryoshka SAE of two groups."""
    extras = {"k": COUNT, "threshold": torch.tensor(0.7), "group_sizes": torch.tensor([4, L - 4])}
    return matrices(p) | extras


def old_topk(p: Parameters) -> dict[str, Tensor]:
    """Return a TopK SAE of before 2024-12-22, whose k is in config.json alone."""
    return linear(p) | {"encoder.bias": p.b_enc, "b_dec": p.b_dec}


CLASSES: tuple[tuple[str, str, Callable[[Parameters], dict[str, Tensor]]], ...] = (
    ("autoencoder", "AutoEncoder",
     lambda p: linear(p) | {"encoder.bias": p.b_enc, "bias": p.b_dec}),
    ("new", "AutoEncoderNew",
     lambda p: linear(p) | {"encoder.bias": p.b_enc, "decoder.bias": p.b_dec}),
    ("topk", "AutoEncoderTopK", lambda p: batch(p, -1.0)),
    ("topk-threshold", "AutoEncoderTopK", lambda p: batch(p, 0.5)),
    ("batch-topk", "BatchTopKSAE", lambda p: batch(p, 0.7)),
    ("batch-topk-unfitted", "BatchTopKSAE", lambda p: batch(p, -1.0)),
    ("matryoshka", "MatryoshkaBatchTopKSAE", matryoshka),
    ("jumprelu", "JumpReluAutoEncoder", lambda p: matrices(p) | {"threshold": p.threshold}),
    ("gated", "GatedAutoEncoder", gated),
)  # fmt: skip


def config(cls: str, trainer: str = "Trainer") -> dict[str, Any]:
    """Return config.json."""
    return {
        "trainer": {
            "dict_class": cls, "trainer_class": trainer, "activation_dim": D, "dict_size": L,
            "k": K, "lr": 0.0003, "steps": 244140, "seed": 0, "layer": 8, "device": "cuda:0",
            "lm_name": "EleutherAI/pythia-160m-deduped", "wandb_name": "trainer",
            "submodule_name": "resid_post_layer_8",
        },
        "buffer": {"d_submodule": D, "io": "out", "n_ctxs": 244, "ctx_len": 1024},
    }  # fmt: skip


def write(folder: Path, cls: str, tensors: dict[str, Tensor]) -> None:
    """Write ae.pt and config.json."""
    case.write_pt(folder / "ae.pt", tensors)
    case.write_json(folder / "config.json", config(cls))


def finish(
    files: Path,
    p: Parameters,
    sae: Any,
    oracle: str = "utils.load_dictionary",
    refused: dict[str, str] | None = None,
) -> None:
    """Write what dictionary_learning's class makes of the inputs."""
    case.finish(
        files,
        [FOLDER],
        p.x,
        None if sae is None else lambda x: Result(sae.encode(x), sae(x)),
        decoder=p.decoder,
        encoder=p.encoder,
        oracle=f"dictionary_learning, {oracle}",
        version=version("dictionary-learning"),
        command=COMMAND,
        refused=refused,
    )


def classes() -> None:
    """Write every class as it is written today."""
    for seed, (name, cls, tensors) in enumerate(CLASSES, 300):
        p = parameters(seed)
        files = case.new_case(f"dictionary-learning-{name}")
        write(files / FOLDER, cls, tensors(p))
        finish(files, p, utils.load_dictionary(str(files / FOLDER), "cpu")[0])


def over_time() -> None:
    """Write files that today's loader does not take; its class, or its formula, is the oracle."""
    p = parameters(320)
    files = case.new_case("dictionary-learning-topk-k-in-config")
    write(files / FOLDER, "AutoEncoderTopK", old_topk(p))
    sae = AutoEncoderTopK(D, L, K)
    sae.load_state_dict(old_topk(p), strict=False)
    finish(files, p, sae, "AutoEncoderTopK with k of config.json")

    files = case.new_case("dictionary-learning-topk-july-2024")
    tensors = old_topk(p)
    del tensors["decoder.weight"]
    write(files / FOLDER, "AutoEncoderTopK", tensors | {"decoder": p.decoder})
    finish(files, p, sae, "AutoEncoderTopK with decoder.weight = the parameter's transpose")

    for seed, name, cls in ((321, "topk", "AutoEncoderTopK"), (322, "batch-topk", "BatchTopKSAE")):
        p = parameters(seed)
        files = case.new_case(f"dictionary-learning-{name}-compiled")
        write(files / FOLDER, cls, batch(p, 0.7))
        sae = utils.load_dictionary(str(files / FOLDER), "cpu")[0]
        compiled = {f"_orig_mod.{key}": tensor for key, tensor in batch(p, 0.7).items()}
        write(files / FOLDER, cls, compiled)
        finish(files, p, sae, "utils.load_dictionary of the same without _orig_mod.")

    p = parameters(323)
    files = case.new_case("dictionary-learning-batch-topk-without-threshold")
    write(files / FOLDER, "BatchTopKSAE", old_topk(p))
    finish(files, p, None, "no oracle: its codes depend on the batch", {"load": "threshold"})


if __name__ == "__main__":
    classes()
    over_time()
