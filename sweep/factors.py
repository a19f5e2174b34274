"""The factors that a grid may name, and what values they take."""

import difflib
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig

_LEFT_OUT = {"hookpoint", "shard_rows"}  # the grid has one module a configuration
HARVEST = {
    name: kind for name, kind in get_type_hints(HarvestConfig).items() if name not in _LEFT_OUT
}
TRAINING = {name: kind for name, kind in get_type_hints(TrainConfig).items() if name != "seeds"}
_SHAPE = ("num_latents", "expansion_factor", "k", "normalize_decoder", "prefixes")
SHAPE = {name: kind for name, kind in get_type_hints(SAEConfig).items() if name in _SHAPE}
SHAPE |= {"architecture": get_type_hints(SAEConfig)["activation"]}

KINDS: dict[str, Any] = {
    "hookpoint": str,
    "stored_tokens": int | None,
    **HARVEST,
    **SHAPE,
    **TRAINING,
}
"""The type of each factor."""

STREAM = (
    *HARVEST, "stored_tokens", "batch_size", "epochs", "shuffle_seed", "save_every", "log_every",
    "device",
)  # fmt: skip
"""SAEs that agree in these are trained on one stream of activations."""

DEFAULTS: dict[str, Any] = {
    "hookpoint": HarvestConfig().hookpoint[0],
    "architecture": "topk",
    "stored_tokens": None,
    **{
        field.name: field.default
        for kind in (HarvestConfig, SAEConfig, TrainConfig)
        for field in fields(kind)
        if field.name in KINDS and field.name != "hookpoint"
    },
}
"""The value of a factor that a grid does not give."""


def check_factor(name: str) -> None:
    """Raise a ValueError, with the closest known name, unless there is such a factor."""
    if name not in KINDS:
        close = difflib.get_close_matches(name, KINDS, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(KINDS)}"
        raise ValueError(f"there is no factor {name!r}{hint}")


def is_list(name: str) -> bool:
    """Return whether one value of the factor is itself a list, such as ``betas``."""
    return get_origin(KINDS[name]) is tuple


def converted(name: str, value: Any) -> Any:
    """Return a value of a factor, as YAML gives it, in the factor's own type.

    Raises:
        ValueError: it is of another type.
    """
    return _converted(name, value, KINDS[name])


def _converted(name: str, value: Any, kind: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in parts:
            raise ValueError(f"{name}: expected one of {', '.join(parts)}, got {value!r}")
        return value
    if origin in (Union, UnionType):
        if value is None and type(None) in parts:
            return None
        (kind,) = (part for part in parts if part is not type(None))
        return _converted(name, value, kind)
    if origin is tuple:
        values = value if isinstance(value, list) else [value]
        return tuple(_converted(name, each, parts[0]) for each in values)
    return _plain(name, value, kind)


def _plain(name: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, str):
        value = _number(value)  # YAML reads 4e-3 as text
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise ValueError(f"{name}: expected {expected[kind]}, got {value!r}")
    return value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
