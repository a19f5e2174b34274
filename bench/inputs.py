"""The SAEs that are measured on the CPU: random ones of a shape, or trained ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..sae import SAE, SAEConfig, load_sae
from ..sae.activations.store import map_activations
from .problem import Shape, Weights

MAX_TOKENS = 2048
DEMO = Path("runs/demo")

SHAPES = (Shape(2048, 576, 20736, 32), Shape(2048, 768, 32768, 32), Shape(512, 4096, 32768, 64))
ABOVE_SHAPES = (Shape(2048, 2304, 65536, 60),)  # as Gemma Scope's SAEs of Gemma 2 2B
STEP_SHAPES = (Shape(512, 512, 32768, 32), Shape(2048, 576, 20736, 32))


@dataclass(frozen=True)
class Inputs:
    """One SAE, another SAE of the same shape, and activations for them, all float32."""

    sae: SAE
    other: SAE
    x: Tensor
    """(N, D)."""
    source: str
    """Either "random" or "trained"."""

    @property
    def shape(self) -> Shape:
        """The sizes."""
        config = self.sae.config
        return Shape(len(self.x), config.d_in, config.num_latents, config.k)

    @property
    def weights(self) -> Weights:
        """The weights of the first SAE, for the peers."""
        state = {name: tensor.detach() for name, tensor in self.sae.state_dict().items()}
        return Weights(
            self.sae.config.k,
            state["encoder.weight"],
            state["encoder.bias"],
            state["W_dec"],
            state["b_dec"],
        )


def random_inputs(shape: Shape) -> Inputs:
    """Return untrained SAEs of two seeds and normal activations.

    Raises:
        ValueError: a size is not positive, or k is larger than the number of latents.
    """
    if shape.num_tokens < 1:
        raise ValueError(f"shape: expected 1 or more tokens, got {shape.num_tokens}")
    config = SAEConfig(d_in=shape.d_in, num_latents=shape.num_latents, k=shape.k)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape.num_tokens, shape.d_in, generator=generator)
    return Inputs(SAE(config, seed=0), SAE(config, seed=1), x, "random")


def demo_inputs() -> Iterator[Inputs]:
    """Yield the SAEs and activations that `twinsae demo` left in its usual folder, if it did."""
    saes = [config.parent for config in sorted(DEMO.glob("*/seed*/cfg.json"))[:2]]
    if len(saes) == 2:
        yield trained_inputs(saes, next(iter(sorted(DEMO.glob("activations/**/shard_*"))), None))


def trained_inputs(saes: Sequence[Path], activations: Path | None) -> Inputs:
    """Return two trained SAEs and the first activations of a file.

    Args:
        saes: two SAE folders of one shape.
        activations: a .safetensors or .npy file of (rows, D); None means random ones.

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
            each.normalize_decoder()  # bfloat16 files round the rows, and SAELens divides by norms
    return replace(inputs, sae=sae, other=other, x=x, source="trained")
