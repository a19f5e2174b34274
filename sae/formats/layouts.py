"""Which files make up one SAE: by names alone, nothing is read, on this machine and on the Hub."""

import re
from collections.abc import Collection
from typing import NamedTuple

SPARSIFY = "sae.safetensors"
SAELENS = "sae_weights.safetensors"
DICTIONARY_LEARNING = "ae.pt"
SHARDS = "model.safetensors.index.json"


class Layout(NamedTuple):
    """One way in which a folder is an SAE."""

    weights: str
    """The file that makes it one; "*" stands for a number, and there are several such files."""
    sidecars: tuple[str, ...] = ()
    """What else is read, where it is there."""
    of_models: bool = False
    """Folders of language models have such files, too."""

    @property
    def pattern(self) -> str:
        """A regular expression for the file."""
        return re.escape(self.weights).replace(r"\*", r"\d+")


# The first that is there is taken.
LAYOUTS: tuple[Layout, ...] = (
    Layout(
        SAELENS,
        ("cfg.json", "config.json", "activation_scaler.json", "activation_whitening.safetensors"),
    ),
    Layout(SPARSIFY, ("cfg.json",)),
    Layout(DICTIONARY_LEARNING, ("config.json",)),
    Layout("params.npz"),
    Layout("params.safetensors", ("config.json",)),
    Layout("params_layer_*.safetensors", ("config.json",)),
    Layout("checkpoints/final.safetensors", ("hyperparams.json",)),
    Layout("model.safetensors", ("config.json",), of_models=True),
    Layout("model-*-of-*.safetensors", ("config.json", SHARDS), of_models=True),
    Layout("latest_ckpt.safetensors", ("conf.yaml",)),
)

WEIGHT_FILES = tuple(
    layout.weights for layout in LAYOUTS if "*" not in layout.weights and not layout.of_models
)
"""The files that make a folder an SAE, and nothing else."""

# Files that are an SAE by themselves, and what beside them tells more.
_ALONE = re.compile(r".*\.(safetensors|npz|pt|pth)")
_BESIDE = ("config.json", "config.yaml", "cfg.json", "wandb-config.yaml", "wanb-config.yaml")
# States of training, activations, their text, and statistics: never an SAE.
_NO_SAE = re.compile(
    r"(log_)?sparsity.*|.*optimizer.*|.*scheduler.*|training_args.*|rng_state.*|state.*|"
    r"latents\.safetensors|checkpoint\.safetensors|shard_\d+\.safetensors|"
    r"activation_(scaler|whitening).*|(firing|contexts)(\.part)?\.npz|corpus\.npz",
    re.IGNORECASE,
)
_NO_SAES = "features"  # a folder of caches


class SAEFiles(NamedTuple):
    """One SAE."""

    place: str
    """The folder or file that is read as an SAE."""
    files: list[str]
    """All files that are read of it, ascending."""


def sae_files(tree: Collection[str], path: str) -> SAEFiles | None:
    """Return the SAE at ``path``; None if there is none.

    Args:
        tree: all files of a repository or below a folder, as paths with "/".
        path: a folder or file in it; "" is all of it. A folder with one file that is an
            SAE by itself stands for that file.
    """
    if path in tree:
        return SAEFiles(path, _with_sidecars(tree, path))
    inside = f"{path}/" if path else ""
    names = [file.removeprefix(inside) for file in tree if file.startswith(inside)]
    for layout in LAYOUTS:
        weights = [name for name in names if re.fullmatch(layout.pattern, name)]
        if weights:
            read = (*weights, *(name for name in layout.sidecars if name in names))
            return SAEFiles(path, sorted(inside + name for name in read))
    alone = [name for name in names if "/" not in name and _is_alone(name)]
    if len(alone) != 1:
        return None
    return SAEFiles(inside + alone[0], _with_sidecars(tree, inside + alone[0]))


def sae_places(tree: Collection[str], prefix: str = "") -> list[str]:
    """Return the folders and files of a tree, at or below ``prefix``, that are SAEs."""
    found = set()
    for file in tree:
        if prefix and file != prefix and not file.startswith(f"{prefix.rstrip('/')}/"):
            continue
        for layout in LAYOUTS:
            match = re.fullmatch(rf"(?:(.*)/)?{layout.pattern}", file)
            if match:
                found.add(match[1] or "")
                break
        else:
            *folders, name = file.split("/")
            if _is_alone(name) and _NO_SAES not in folders:
                found.add(file)
    return sorted(found)


def _with_sidecars(tree: Collection[str], file: str) -> list[str]:
    folder, _, name = file.rpartition("/")
    inside = f"{folder}/" if folder else ""
    own = f"{name.rpartition('.')[0]}_cfg.json"
    wanted = {inside + sidecar for sidecar in (*_BESIDE, own)}
    if folder.rpartition("/")[2] == "checkpoints":
        above = folder.rpartition("/")[0]
        wanted |= {f"{above}/{sidecar}" for sidecar in ("config.json", "hyperparams.json")}
    return sorted({file, *(wanted & set(tree))})


def _is_alone(name: str) -> bool:
    return bool(_ALONE.fullmatch(name)) and not _NO_SAE.fullmatch(name)
