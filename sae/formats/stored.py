"""An SAE as files hold it, a configuration and tensors: what all formats read and write."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..config import SAEConfig


class StoredSAE(NamedTuple):
    """An SAE's configuration and parameters, without the code that computes with them."""

    config: SAEConfig
    tensors: dict[str, Tensor]
    """The parameters by their names in `SAE`, all of one dtype; see `parameter_shapes`."""
    left: tuple[str, ...] = ()
    """What its files hold that it has no place for, each in a few words: "threshold = 0.5"."""


def checked(config: SAEConfig, tensors: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Return the parameters that ``config`` asks for, all in the dtype of ``encoder.weight``.

    Args:
        config: the SAE's shape.
        tensors: by the SAE's own names; others are ignored. Memory is shared where the dtype fits.
        source: the file they are from, for messages.

    Raises:
        ValueError: a tensor is missing, or has another shape than ``config`` asks for.
    """
    shapes = config.parameter_shapes
    for name, shape in shapes.items():
        if name not in tensors:
            raise ValueError(f"{source} has no tensor {name!r}; it holds: {', '.join(tensors)}")
        tensor = tensors[name]
        if tensor.shape != shape or not tensor.is_floating_point():
            raise ValueError(
                f"{source}: {name!r} is {tensor.dtype} {tuple(tensor.shape)}, but its "
                f"configuration asks for floating-point {shape}"
            )
    dtype = tensors["encoder.weight"].dtype
    return {name: tensors[name].to(dtype) for name in shapes}


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


def turned(tensor: Tensor) -> Tensor:
    """Return the transpose, contiguous, of a matrix; `checked` refuses anything else."""
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor


def encoder_bias(sae: StoredSAE, *, subtracts: bool) -> Tensor:
    """Return the bias (L,) of an encoder that reads x - b_dec if it ``subtracts``, else x."""
    bias = sae.tensors["encoder.bias"]
    if subtracts != sae.config.transcode:
        return bias
    moved = sae.tensors["encoder.weight"].double() @ sae.tensors["b_dec"].double()  # (L,)
    moved = moved.to(bias.dtype)
    return bias + moved if subtracts else bias - moved


def refuse(config: SAEConfig, format_name: str, **allowed: tuple[Any, ...]) -> None:
    """Raise ValueError, naming the setting, unless each setting has one of the allowed values."""
    for name, values in allowed.items():
        value = getattr(config, name)
        if value not in values:
            usable = " or ".join(map(repr, values))
            raise ValueError(f"{name} = {value!r} has no place in {format_name}, only {usable}")


_EXAMPLE = SAEConfig(d_in=1).__dict__
