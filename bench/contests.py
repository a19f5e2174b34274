"""Each architecture beside each peer that trains it, and their settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .loops import AUXK_ALPHA
from .rivals import Contest, dictionary_learning_rival, saelens_rival, sparsify_rival

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
_THRESHOLD = _PLAIN | {"threshold": "threshold"}
_SILENT_BATCHES = 10
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
    return Contest("SAELens", job, saelens_rival, kind, names, {**sae, **_FREE}, train, theirs)


def _dictionary(
    job: str, kind: str, sae: Mapping[str, Any], names: Mapping[str, str],
    train: Mapping[str, Any] = _CLIPPED, **theirs: Any,
) -> Contest:  # fmt: skip
    make = dictionary_learning_rival
    return Contest("dictionary_learning", job, make, kind, names, sae, train, theirs)


_TOPK = {"activation": "topk"}
_JUMPRELU = {"activation": "jumprelu"}
_L1_PENALTY = {"l1_penalty": 0.02, "sparsity_warmup_steps": 0}
_SPARSIFY_TOPK = Contest("sparsify", "topk", sparsify_rival, "SparseCoder", _OWN, _TOPK)
_SAELENS_TOPK = _saelens("topk", "TopK", _TOPK)
_DICTIONARY_TOPK = _dictionary("topk", "top_k.TopKTrainer", _TOPK, _LINEAR)
_AUXK: dict[str, Any] = {"job": "topk_auxk", "silent_batches": _SILENT_BATCHES}
CONTESTS = (
    _SPARSIFY_TOPK,
    _SAELENS_TOPK,
    _DICTIONARY_TOPK,
    replace(_DICTIONARY_TOPK, **_AUXK),
    replace(
        _SPARSIFY_TOPK, job="groupmax", sae={"activation": "groupmax"},
        theirs={"activation": "groupmax"},
    ),
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
    _dictionary(
        "relu_unit_norm", "standard.StandardTrainer", {"activation": "relu"},
        _LINEAR | {"b_dec": "bias"}, _L1, **_L1_PENALTY,
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
        "jumprelu", "JumpReLU", _JUMPRELU, _THRESHOLD, _L0 | _CLIPPED, l0_coefficient=0.001
    ),
    _saelens(
        "jumprelu_tanh", "JumpReLU", _JUMPRELU, _THRESHOLD, _L0 | _CLIPPED | {"penalty": "tanh"},
        l0_coefficient=0.001, jumprelu_sparsity_loss_mode="tanh",
    ),
)  # fmt: skip
"""Each architecture beside each peer that trains it with the same loss."""

OTHER_LOSSES = (
    replace(_SPARSIFY_TOPK, differs="its AuxK does not reach the encoder", **_AUXK),
    replace(_SAELENS_TOPK, differs="its AuxK decodes negative scores", **_AUXK,
            theirs={"aux_loss_coefficient": AUXK_ALPHA}),
    replace(
        _dictionary(
            "jumprelu", "jumprelu.JumpReluTrainer", _JUMPRELU | {"transcode": True}, _THRESHOLD,
            _L0 | _CLIPPED | {"betas": (0.0, 0.999), "bandwidth": 0.001, "init_threshold": 0.001},
            sparsity_warmup_steps=0,
        ),
        differs="its penalty's step acts on codes, its issue 55",
    ),
)  # fmt: skip
"""Those whose losses differ from ours. The sparsity is that of ours to begin with."""
