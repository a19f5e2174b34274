"""An SAE from a configuration and the tensors of a file, and what every format returns."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..config import SAEConfig
from ..model import SAE


class Loaded(NamedTuple):
    """An SAE, and what its files hold that it has no place for."""

    sae: SAE
    left: tuple[str, ...]
    """What was left behind, each in a few words such as "threshold = 0.5"."""


def build(config: SAEConfig, tensors: Mapping[str, Tensor], source: Path) -> SAE:
    """Return the SAE with these parameters, in the dtype of ``encoder.weight``; it shares them.

    Args:
        config: its shape.
        tensors: by the SAE's own names; others are ignored.
        source: the file they are from, for messages.

    Raises:
        ValueError: a tensor is missing, or has another shape than ``config`` asks for.
    """
    with torch.device("meta"):
        sae = SAE(config)
    shapes = {name: parameter.shape for name, parameter in sae.named_parameters()}
    for name, shape in shapes.items():
        if name not in tensors:
            raise ValueError(f"{source} has no tensor {name!r}; it holds: {', '.join(tensors)}")
        tensor = tensors[name]
        if tensor.shape != shape or not tensor.is_floating_point():
            raise ValueError(
                f"{source}: {name!r} is {tensor.dtype} {tuple(tensor.shape)}, but its "
                f"configuration asks for floating-point {tuple(shape)}"
            )
    dtype = tensors["encoder.weight"].dtype
    sae.load_state_dict({name: tensors[name].to(dtype) for name in shapes}, assign=True)
    return sae


def make_config(source: Path, fields: Mapping[str, Any]) -> SAEConfig:
    """Return SAEConfig(**fields), with errors that name ``source``.

    Raises:
        ValueError: a field has another type than SAEConfig's, or a value out of its range.
    """
    for name, value in fields.items():
        expected = type(_EXAMPLE[name])
        if type(value) is not expected:
            raise ValueError(f"{source}: {name} must be {expected.__name__}, not {value!r}")
    try:
        return SAEConfig(**fields)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ValueError: it holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no configuration: it is not a JSON object")
    return content


def check_files(folder: Path, *names: str) -> None:
    """Raise FileNotFoundError unless the folder has all these files."""
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no SAE folder: it has no {name}")


def weights(sae: SAE) -> dict[str, Tensor]:
    """Return the SAE's parameters by name, without their gradients' history."""
    return {name: parameter.detach() for name, parameter in sae.named_parameters()}


def turned(tensor: Tensor) -> Tensor:
    """Return the transpose, contiguous, of a matrix; `build` refuses anything else."""
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor


def encoder_bias(sae: SAE, *, subtracts: bool) -> Tensor:
    """Return the bias (L,) of an encoder that reads x - b_dec if it ``subtracts``, else x."""
    bias, reads = sae.encoder.bias.detach(), sae.config.transcode
    if subtracts != reads:
        return bias
    moved = (sae.encoder.weight.detach().double() @ sae.b_dec.detach().double()).to(bias.dtype)
    return bias + moved if subtracts else bias - moved


def refuse(sae: SAE, format_name: str, **allowed: tuple[Any, ...]) -> None:
    """Raise ValueError, naming the setting, unless each setting has one of the allowed values."""
    for name, values in allowed.items():
        value = getattr(sae.config, name)
        if value not in values:
            usable = " or ".join(map(repr, values))
            raise ValueError(f"{name} = {value!r} has no place in {format_name}, only {usable}")


_EXAMPLE = SAEConfig(d_in=1).__dict__
