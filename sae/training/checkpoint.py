"""An SAE's whole training state in one file, so that a killed run goes on to the same bits."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..formats.dictionary import LATENTS
from ..formats.tensors import map_file, save_tensors
from .jobs import Job
from .learner import Learner

CHECKPOINT = "checkpoint.safetensors"
_FORMAT = "twinsae-checkpoint/2"

Settings = Mapping[str, Any]


def save_checkpoint(learner: Learner, path: Path, settings: Settings) -> None:
    """Write the learner's state to ``path``, atomically.

    Args:
        learner: the SAE to save.
        path: the file.
        settings: everything else that the weights depend on, as JSON values; `load_checkpoint`
            refuses to go on under different ones.

    Raises:
        OSError: the write failed; the previous checkpoint is untouched.
    """
    tensors = {name: tensor.cpu() for name, tensor in _tensors(learner).items()}
    metadata = {
        "format": _FORMAT,
        "step": str(learner.step),
        "scale": repr(learner.scale),
        "state": json.dumps(learner.architecture.state),
        "settings": json.dumps({"seed": learner.job.seed, **settings}),
        "crc32": str(_crc32(tensors)),
    }
    save_tensors(path, tensors, metadata)


def is_finished(folder: Path, job: Job) -> bool:
    """Return whether a job's SAE, in ``folder``, was trained to its end under its settings."""
    path = folder / CHECKPOINT
    if not (path.is_file() and (folder / LATENTS).is_file()):
        return False
    try:
        _, metadata = map_file(path)
        saved = json.loads(metadata["settings"])
    except (ValueError, KeyError):
        return False
    # The learning rate that is given may be None, and then stands for another one.
    expected = {"seed": job.seed, **job.settings, "lr": job.config.lr or saved.get("lr")}
    return all(saved.get(name) == value for name, value in expected.items())


def load_checkpoint(path: Path, learner: Learner, settings: Settings) -> None:
    """Give a new learner the state saved in ``path``.

    Raises:
        ValueError: the file is truncated or corrupt, or was written under other settings; the
            message names the file and what to do. Nothing is deleted.
    """
    seed = learner.job.seed
    try:
        tensors, metadata = map_file(path)
        if metadata.get("format") != _FORMAT:
            raise ValueError(
                f"{path} is no checkpoint of this version: its format is not {_FORMAT}"
            )
        if metadata.get("crc32") != str(_crc32(tensors)):
            raise ValueError(f"{path} is corrupt: its checksum does not fit its content")
    except ValueError as error:
        raise ValueError(
            f"{error}; move it away to train seed {seed} from the start, or restore a copy"
        ) from error
    _check_settings(path, json.loads(metadata["settings"]), {"seed": seed, **settings})
    learner.step = int(metadata["step"])
    learner.scale = float(metadata["scale"])
    learner.architecture.state.update(json.loads(metadata["state"]))
    _restore(learner, tensors)


def _tensors(learner: Learner) -> dict[str, Tensor]:
    parameters = {name: tensor.detach() for name, tensor in learner.sae.named_parameters()}
    counters = {"tokens_since_fired": learner.tokens_since_fired, "fired": learner.fired}
    return parameters | counters | learner.optimizer.tensors()


@torch.no_grad()
def _restore(learner: Learner, tensors: Mapping[str, Tensor]) -> None:
    learner.tokens_since_fired.copy_(tensors["tokens_since_fired"])
    learner.fired.copy_(tensors["fired"])
    for name, parameter in learner.sae.named_parameters():
        parameter.copy_(tensors[name])
    learner.optimizer.restore(tensors)
    learner.refresh()


def _check_settings(path: Path, saved: Settings, settings: Settings) -> None:
    for name, value in settings.items():
        if saved.get(name) != value:
            raise ValueError(
                f"{path} was trained with {name} = {saved.get(name)!r}, not {value!r}: "
                f"use the same setting or another folder"
            )


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    crc = 0
    for name in sorted(tensors):
        flat = tensors[name].contiguous().reshape(-1)
        crc = zlib.crc32(flat.view(torch.uint8).numpy().data, crc)
    return crc
