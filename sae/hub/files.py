"""Which files of a repository make up one SAE; names alone decide, nothing is downloaded."""

import re
from collections.abc import Collection
from typing import NamedTuple

# A folder with one of these is an SAE. In it, what else is read.
_OF_FOLDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"sae_weights\.safetensors",
        ("cfg.json", "config.json", "activation_scaler.json", "activation_whitening.safetensors"),
    ),
    (r"sae\.safetensors", ("cfg.json",)),
    (r"ae\.pt", ("config.json",)),
    (r"params\.npz", ()),
    (r"params\.safetensors", ("config.json",)),
    (r"params_layer_\d+\.safetensors", ("config.json",)),
    (r"checkpoints/final\.safetensors", ("hyperparams.json",)),
    (r"model\.safetensors", ("config.json",)),
    (r"model-\d+-of-\d+\.safetensors", ("config.json", "model.safetensors.index.json")),
    (r"latest_ckpt\.safetensors", ("conf.yaml",)),
)
# Files that are an SAE by themselves, and what beside them tells more.
_ALONE = re.compile(r".*\.(safetensors|npz|pt|pth)")
_BESIDE = ("config.json", "config.yaml", "cfg.json", "wandb-config.yaml", "wanb-config.yaml")
# States of training and statistics: never an SAE.
_NO_SAE = re.compile(
    r"(log_)?sparsity.*|.*optimizer.*|.*scheduler.*|training_args.*|rng_state.*|state.*|"
    r"latents\.safetensors|activation_(scaler|whitening).*",
    re.IGNORECASE,
)
_NO_SAES = "features"  # a folder of caches


class SAEFiles(NamedTuple):
    """One SAE of a repository."""

    place: str
    """The folder or file that is read as an SAE."""
    files: list[str]
    """All files that are read of it, ascending."""


def sae_files(tree: Collection[str], path: str) -> SAEFiles | None:
    """Return the SAE at ``path``; None if there is none.

    Args:
        tree: all files of the repository, as paths with "/".
        path: a folder or file in it; "" is the repository itself. A folder with one file that is an
            SAE by itself stands for that file.
    """
    if path in tree:
        return SAEFiles(path, _with_sidecars(tree, path))
    inside = f"{path}/" if path else ""
    names = [file.removeprefix(inside) for file in tree if file.startswith(inside)]
    for pattern, sidecars in _OF_FOLDER:
        weights = [name for name in names if re.fullmatch(pattern, name)]
        if weights:
            read = (*weights, *(name for name in sidecars if name in names))
            return SAEFiles(path, sorted(inside + name for name in read))
    alone = [name for name in names if "/" not in name and _is_alone(name)]
    if len(alone) != 1:
        return None
    return SAEFiles(inside + alone[0], _with_sidecars(tree, inside + alone[0]))


def sae_places(tree: Collection[str], prefix: str = "") -> list[str]:
    """Return the folders and files of a repository, at or below ``prefix``, that are SAEs."""
    found = set()
    for file in tree:
        if prefix and file != prefix and not file.startswith(f"{prefix.rstrip('/')}/"):
            continue
        for pattern, _ in _OF_FOLDER:
            match = re.fullmatch(rf"(?:(.*)/)?{pattern}", file)
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
