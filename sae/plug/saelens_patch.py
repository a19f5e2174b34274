"""SAELens with our kernels: its classes for training SAEs are replaced.

They are those registered as "topk", "batchtopk", "matryoshka_batchtopk" and "jumprelu".
"""

from functools import cache
from importlib import import_module
from typing import Any

from .adam import fused_adam
from .patch import Patch, Swap, check_version
from .saelens_base import Fast
from .saelens_jumprelu import FastJumpReLU
from .saelens_topk import FastBatchTopK, FastTopK

_KINDS: dict[str, tuple[str, type[Fast]]] = {
    "topk": ("TopK", FastTopK),
    "batchtopk": ("BatchTopK", FastBatchTopK),
    "matryoshka_batchtopk": ("MatryoshkaBatchTopK", FastBatchTopK),
    "jumprelu": ("JumpReLU", FastJumpReLU),
}


def _prepare() -> list[Swap]:
    ours = {name: training_class(name) for name in _KINDS}
    library = import_module("sae_lens")
    registry = import_module("sae_lens.registry").SAE_TRAINING_CLASS_REGISTRY
    trainer = import_module("sae_lens.training.sae_trainer")
    configs = {
        name: getattr(library, f"{kind}TrainingSAEConfig") for name, (kind, _) in _KINDS.items()
    }
    return [
        *(Swap(registry, name, (ours[name], configs[name])) for name in _KINDS),
        Swap(vars(trainer), "Adam", fused_adam),
    ]


@cache
def training_class(architecture: str = "topk") -> Any:
    """Return the subclass of SAELens' training class whose training step is ours.

    Args:
        architecture: "topk", "batchtopk", "matryoshka_batchtopk" or "jumprelu".

    Raises:
        ImportError: sae_lens is not installed.
        RuntimeError: it is of a version that is not known.
    """
    check_version("sae-lens", "6")
    kind, ours = _KINDS[architecture]
    theirs = getattr(import_module("sae_lens"), f"{kind}TrainingSAE")
    return type(theirs.__name__, (ours, theirs), {"__doc__": ours.__doc__})


saelens = Patch(_prepare)
"""``with plug.saelens(): ...``, or ``plug.saelens.enable()`` and ``plug.saelens.disable()``.

SAEs that are made meanwhile by SAELens' runners, or `training_class`'s, train by our kernels, and
trainers that are made meanwhile use the fused form of torch's Adam.
"""
