"""The settings of an SAE and of its training; the command line shows them as its help."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Activation = Literal["topk", "groupmax", "relu", "jumprelu", "raw_topk", "abs_topk", "normed_topk"]
Device = Literal["cpu", "cuda"]
Normalization = Literal["none", "layer_norm", "constant_norm", "standardize"]


@dataclass(frozen=True)
class SAEConfig:
    """The shape of an SAE. What follows `normalize_decoder` can be loaded and run, not trained."""

    d_in: int
    """Width of the activations."""
    num_latents: int = 0
    """Number of latents; 0 means d_in times the expansion factor."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where num_latents is 0."""
    k: int = 32
    """Active latents per token; 0 where the activation does not fix their number."""
    normalize_decoder: bool = True
    """Keep the decoder's rows at unit norm."""
    activation: Activation = "topk"
    """Active are, of positive scores: the k largest; the largest of each of k groups; all; all
    above a threshold. Of all scores: the k largest; the k largest by absolute value. Of positive
    ones: the k largest times the lengths of their decoder rows."""
    transcode: bool = False
    """The encoder reads x, not x - b_dec."""
    skip_connection: bool = False
    """Add x @ W_skip.T to the reconstruction."""
    normalization: Normalization = "none"
    """What is done to each token first, and undone at last: see `SAE`."""
    d_out: int = 0
    """Width of the reconstruction; 0 means d_in. Others are transcoders'."""

    def __post_init__(self) -> None:
        """Raise ValueError for a size that is not positive, or k that does not fit num_latents."""
        _check_positive(d_in=self.d_in, expansion_factor=self.expansion_factor)
        if self.num_latents == 0:
            object.__setattr__(self, "num_latents", self.d_in * self.expansion_factor)
        _check_positive(num_latents=self.num_latents)
        if self.d_out == self.d_in:
            object.__setattr__(self, "d_out", 0)
        if self.d_out < 0:
            raise ValueError(f"d_out: expected 0 or more, got {self.d_out}")
        if self.d_out and not self.transcode:
            raise ValueError(f"d_out: {self.d_out} is not d_in, so b_dec cannot be subtracted")
        _check_choice("activation", self.activation, get_args(Activation))
        _check_choice("normalization", self.normalization, get_args(Normalization))
        if self.activation in ("relu", "jumprelu"):
            object.__setattr__(self, "k", 0)
            return
        _check_positive(k=self.k)
        if self.k > self.num_latents:
            raise ValueError(f"k: {self.k} active latents of only {self.num_latents}")
        if self.activation == "groupmax" and self.num_latents % self.k:
            raise ValueError(f"k: {self.num_latents} latents do not make {self.k} equal groups")

    @property
    def out_width(self) -> int:
        """Width of the reconstruction."""
        return self.d_out or self.d_in

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the SAE's parameters, by their names in `SAE`."""
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.weight": (self.num_latents, self.d_in),
            "encoder.bias": (self.num_latents,),
            "W_dec": (self.num_latents, self.out_width),
            "b_dec": (self.out_width,),
        }
        if self.activation == "jumprelu":
            shapes["threshold"] = (self.num_latents,)
        if self.skip_connection:
            shapes["W_skip"] = (self.out_width, self.d_in)
        return shapes

    @property
    def trainable(self) -> bool:
        """Whether `train` makes such SAEs."""
        usual = self.activation == "topk" and self.normalization == "none"
        return usual and not self.transcode and not self.skip_connection and not self.d_out


@dataclass(frozen=True)
class TrainConfig:
    """How SAEs are trained: several seeds on the same batches in the same order."""

    seeds: tuple[int, ...] = (0, 1)
    """One SAE is initialised and trained per seed."""
    batch_size: int = 1024
    """Activations per step."""
    epochs: int = 1
    """Passes over the activations."""
    lr: float | None = None
    """Adam's peak learning rate; by default the paper's 2e-4 / sqrt(num_latents / 2^14)."""
    warmup_steps: int = 1000
    """Steps in which the learning rate rises, at most half of all; then it falls linearly to 0."""
    shuffle_seed: int = 42
    """Decides the order of the activations, the same for every seed."""
    dead_after: int = 10_000_000
    """A latent counts as dead when it has not fired for so many tokens."""
    save_every: int = 1000
    """Steps between checkpoints."""
    log_every: int = 50
    """Steps between lines of log.jsonl."""
    device: Device = "cpu"
    """Where the SAEs are trained. A GPU gives other roundings than a CPU."""

    def __post_init__(self) -> None:
        """Raise ValueError, naming the setting, for one out of its range."""
        if not self.seeds:
            raise ValueError("seeds: at least one is needed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} repeats a seed; equal seeds give equal SAEs")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds: {min(self.seeds)} is negative")
        if self.batch_size < 2:
            raise ValueError(f"batch_size: {self.batch_size} is too small, FVU needs 2 activations")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a positive number, got {self.lr}")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps: {self.warmup_steps} is negative")
        _check_choice("device", self.device, get_args(Device))
        _check_positive(
            epochs=self.epochs,
            dead_after=self.dead_after,
            save_every=self.save_every,
            log_every=self.log_every,
        )


def _check_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected a positive number, got {size}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
