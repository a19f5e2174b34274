"""Each architecture beside each peer that trains it with the same loss, and their settings.

dictionary_learning's JumpReLU is left out: its penalty's gradient is wrong (its issue 55).
"""

from collections.abc import Mapping
from typing import Any

from .rivals import Contest, dictionary_learning_step, saelens_step, sparsify_step

_PLAIN = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_LINEAR = {
    "encoder.weight": "encoder.weight",
    "encoder.bias": "encoder.bias",
    "W_dec": "decoder.weight",
    "b_dec": "b_dec",
}
_OWN = {name: name for name in ("encoder.weight", "encoder.bias", "W_dec", "b_dec")}
_FREE = {"normalize_decoder": False}
_CLIPPED = {"clip": 1.0}
_L1 = {"sparsity": 0.02}
_L0 = {"sparsity": 0.001, "bandwidth": 0.05, "init_threshold": 0.01}
_SAELENS_GATED = _PLAIN | {"encoder.bias": "b_gate", "r_mag": "r_mag", "mag_bias": "b_mag"}
_GATED = _LINEAR | {
    "b_dec": "decoder_bias",
    "encoder.bias": "gate_bias",
    "r_mag": "r_mag",
    "mag_bias": "mag_bias",
}


def _saelens(
    job: str, kind: str, sae: Mapping[str, Any], names: Mapping[str, str] = _PLAIN,
    train: Mapping[str, Any] = _CLIPPED, **theirs: Any,
) -> Contest:  # fmt: skip
    return Contest("SAELens", job, saelens_step, kind, names, {**sae, **_FREE}, train, theirs)


def _dictionary(
    job: str, kind: str, sae: Mapping[str, Any], names: Mapping[str, str],
    train: Mapping[str, Any] = _CLIPPED, **theirs: Any,
) -> Contest:  # fmt: skip
    make = dictionary_learning_step
    return Contest("dictionary_learning", job, make, kind, names, sae, train, theirs)


_L1_PENALTY = {"l1_penalty": 0.02, "sparsity_warmup_steps": 0}
CONTESTS = (
    Contest("sparsify", "topk", sparsify_step, "SparseCoder", _OWN, {"activation": "topk"}),
    _saelens("topk", "TopK", {"activation": "topk"}),
    _dictionary("topk", "top_k.TopKTrainer", {"activation": "topk"}, _LINEAR),
    _saelens("batch_topk", "BatchTopK", {"activation": "batch_topk"}),
    _dictionary(
        "batch_topk", "batch_top_k.BatchTopKTrainer", {"activation": "batch_topk"},
        _LINEAR,
    ),
    _saelens("matryoshka", "MatryoshkaBatchTopK", {"activation": "batch_topk", "prefixes": True}),
    _dictionary(
        "matryoshka", "matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer",
        {"activation": "batch_topk", "prefixes": True}, _PLAIN,
    ),
    _saelens(
        "relu", "Standard", {"activation": "relu"}, train=_L1 | _CLIPPED, l1_coefficient=0.02
    ),
    _dictionary(
        "relu", "standard.StandardTrainerAprilUpdate", {"activation": "relu"} | _FREE,
        _LINEAR | {"b_dec": "bias"}, _L1 | _CLIPPED, **_L1_PENALTY,
    ),
    _saelens(
        "gated", "Gated", {"activation": "gated"}, _SAELENS_GATED, _L1 | _CLIPPED,
        l1_coefficient=0.02,
    ),
    _dictionary(
        "gated", "gdm.GatedSAETrainer", {"activation": "gated"}, _GATED,
        _L1 | {"betas": (0.0, 0.999)}, **_L1_PENALTY,
    ),
    _saelens(
        "jumprelu", "JumpReLU", {"activation": "jumprelu"}, train=_L0 | _CLIPPED,
        l0_coefficient=0.001,
    ),
)  # fmt: skip
"""Each architecture beside each peer that trains it with the same loss."""
