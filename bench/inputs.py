"""What is measured on: random numbers of a shape, or trained SAEs and their activations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..sae import SAE, SAEConfig, load_sae
from ..sae.activations.store import map_activations

MAX_TOKENS = 2048
DEMO = Path("runs/demo")


class Shape(NamedTuple):
    """N tokens of width D, L latents, k active."""

    num_tokens: int
    d_in: int
    num_latents: int
    k: int


SHAPES = (Shape(2048, 576, 20736, 32), Shape(2048, 768, 32768, 32), Shape(512, 4096, 32768, 64))
STEP_SHAPES = (Shape(512, 512, 32768, 32), Shape(2048, 576, 20736, 32))


@dataclass(frozen=True)
class Inputs:
    """One SAE, another of the same shape, and activations for them, all float32."""

    sae: SAE
    other: SAE
    x: Tensor
    """(N, D)."""
    source: str
    """Whether they are random or trained."""

    @property
    def sizes(self) -> dict[str, int]:
        """The shape, by the field's letters."""
        config = self.sae.config
        sizes = (len(self.x), config.d_in, config.num_latents, config.k)
        return dict(zip("NDLk", sizes, strict=True))


def random_inputs(shape: Shape) -> Inputs:
    """Return untrained SAEs of two seeds and normal activations.

    Raises:
        ValueError: a size is not positive, or k is more than the latents.
    """
    if shape.num_tokens < 1:
        raise ValueError(f"shape: expected 1 or more tokens, got {shape.num_tokens}")
    config = SAEConfig(d_in=shape.d_in, num_latents=shape.num_latents, k=shape.k)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape.num_tokens, shape.d_in, generator=generator)
    return Inputs(SAE(config, seed=0), SAE(config, seed=1), x, "random")


def demo_inputs() -> Iterator[Inputs]:
    """Yield the SAEs that `twinsae demo` left in its usual folder, if it did, and activations."""
    saes = [config.parent for config in sorted(DEMO.glob("*/seed*/cfg.json"))[:2]]
    if len(saes) == 2:
        yield trained_inputs(saes, next(iter(sorted(DEMO.glob("activations/shard_*"))), None))


def trained_inputs(saes: Sequence[Path], activations: Path | None) -> Inputs:
    """Return two trained SAEs and the first activations of a file.

    Args:
        saes: two SAE folders of one shape.
        activations: a .safetensors or .npy file of (rows, D); None: random ones instead.

    Raises:
        ValueError: a file is corrupt, or the shapes do not fit one another.
        OSError: a file cannot be read.
    """
    sae, other = (load_sae(folder).float() for folder in saes)
    d_in, latents = sae.config.d_in, sae.config.num_latents
    if (other.config.d_in, other.config.num_latents) != (d_in, latents):
        raise ValueError(f"saes: expected two of one shape, got {sae.config} and {other.config}")
    inputs = random_inputs(Shape(MAX_TOKENS, d_in, latents, sae.config.k))
    x = inputs.x if activations is None else map_activations(activations)[:MAX_TOKENS].float()
    if x.shape[1] != d_in or not len(x):
        raise ValueError(
            f"{activations}: expected rows of {d_in} numbers, as the SAEs take, "
            f"got shape {tuple(x.shape)}"
        )
    for each in (sae, other):
        if each.config.normalize_decoder:
            each.normalize_decoder()  # bfloat16 files round the rows, which SAELens would notice
    return replace(inputs, sae=sae, other=other, x=x, source="trained")
