"""An SAE as files hold it, a configuration and tensors: what all formats read and write."""

from collections.abc import Mapping
from dataclasses import replace
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
    assumed: tuple[str, ...] = ()
    """What its files do not say and had to be assumed, each in a few words."""


def build(
    source: Path,
    *,
    encoder: Tensor,
    decoder: Tensor,
    encoder_bias: Tensor | None,
    b_dec: Tensor | None,
    threshold: Tensor | None = None,
    W_skip: Tensor | None = None,
    left: tuple[str, ...] = (),
    assumed: tuple[str, ...] = (),
    **fields: Any,
) -> StoredSAE:
    """Return an SAE made of its parts.

    Args:
        source: the file they are from, for messages.
        encoder: (L, D).
        decoder: (L, d_out).
        encoder_bias: (L,); None: 0.
        b_dec: (d_out,); None: 0.
        threshold: (L,) or one number for all; asks for activation "jumprelu".
        W_skip: (d_out, D), or None.
        left: as of `StoredSAE`.
        assumed: as of `StoredSAE`.
        fields: of SAEConfig, besides the sizes.

    Raises:
        ValueError: the parts do not fit together, or a field is wrong.
    """
    num_latents, d_in = encoder.shape
    if len(decoder) != num_latents:
        raise ValueError(
            f"{source}: the encoder has {num_latents:,} latents, but the decoder {len(decoder):,}"
        )
    d_out = decoder.shape[1]
    ours = {
        "encoder.weight": encoder,
        "encoder.bias": encoder.new_zeros(num_latents) if encoder_bias is None else encoder_bias,
        "W_dec": decoder,
        "b_dec": encoder.new_zeros(d_out) if b_dec is None else b_dec,
    }
    if threshold is not None:
        ours["threshold"] = threshold.expand(num_latents) if not threshold.ndim else threshold
    if W_skip is not None:
        ours["W_skip"] = W_skip
        fields["skip_connection"] = True
    config = make_config(
        source,
        {"normalize_decoder": False}
        | fields
        | {"d_in": d_in, "num_latents": num_latents, "d_out": d_out},
    )
    return StoredSAE(config, checked(config, ours, source), left, assumed)


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


def encoder_bias(sae: StoredSAE, *, subtracts: bool) -> Tensor:
    """Return the bias (L,) of an encoder that reads x - b_dec if it ``subtracts``, else x."""
    bias = sae.tensors["encoder.bias"]
    if subtracts != sae.config.transcode:
        return bias
    if subtracts and sae.config.d_out:
        raise ValueError("b_dec has another width than the input: it cannot be subtracted from it")
    moved = sae.tensors["encoder.weight"].double() @ sae.tensors["b_dec"].double()  # (L,)
    moved = moved.to(bias.dtype)
    return bias + moved if subtracts else bias - moved


def as_jumprelu(sae: StoredSAE) -> StoredSAE:
    """Return the JumpReLU SAE that computes what a gated or BatchTopK one does; others as given."""
    config = sae.config
    if config.activation not in ("gated", "batch_topk"):
        return sae
    tensors = dict(sae.tensors)
    if config.activation == "gated":
        weight, gate_bias, mag_bias = (
            tensors.pop(name) for name in ("encoder.weight", "encoder.bias", "mag_bias")
        )
        magnitudes, threshold = gate_as_threshold(weight, gate_bias, tensors.pop("r_mag"), mag_bias)
        tensors |= {
            "encoder.weight": magnitudes,
            "encoder.bias": mag_bias,
            "threshold": threshold.clamp(min=0).to(weight.dtype),
        }
    return sae._replace(config=replace(config, activation="jumprelu", prefixes=()), tensors=tensors)


def gate_as_threshold(
    encoder: Tensor, gate_bias: Tensor, r_mag: Tensor, mag_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the rows (L, D) and thresholds (L,) of the JumpReLU encoder of bias ``mag_bias``.

    With h = W x, the magnitude p = exp(r_mag) h + mag_bias is used where h + gate_bias > 0, that is
    where p > mag_bias - exp(r_mag) gate_bias. The thresholds are float32.
    """
    gain = r_mag.float().exp()
    rows = (encoder.float() * gain[:, None]).to(encoder.dtype)
    return rows, mag_bias.float() - gain * gate_bias.float()


def refuse(config: SAEConfig, format_name: str, **allowed: tuple[Any, ...]) -> None:
    """Raise ValueError, naming the setting, unless each setting has one of the allowed values."""
    for name, values in allowed.items():
        value = getattr(config, name)
        if value not in values:
            usable = " or ".join(map(repr, values))
            raise ValueError(f"{name} = {value!r} has no place in {format_name}, only {usable}")


_EXAMPLE = SAEConfig(d_in=1).__dict__
