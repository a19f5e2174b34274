"""The settings of an SAE; the command line shows them as its help."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

Activation = Literal[
    "topk", "batch_topk", "groupmax", "relu", "gated", "jumprelu",
    "raw_topk", "abs_topk", "normed_topk",
]  # fmt: skip
Normalization = Literal["none", "layer_norm", "constant_norm", "standardize"]

Trained = Literal["topk", "batch_topk", "groupmax", "relu", "gated", "jumprelu"]
"""The activations that `train` knows; the others can be loaded and run."""
_OF_ACTIVATION = {
    "batch_topk": ("threshold",),
    "jumprelu": ("threshold",),
    "gated": ("r_mag", "mag_bias"),
}  # parameters (L,) besides those of every SAE
_WITHOUT_K = ("relu", "gated", "jumprelu")
_PREFIXED = ("topk", "batch_topk")


@dataclass(frozen=True)
class SAEConfig:
    """The shape of an SAE."""

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
    """Active are, of positive scores: topk, the k largest; batch_topk, the k N largest of a batch
    of N tokens, and after training those above one threshold; groupmax, the largest of each of k
    groups; relu, all; gated, those whose gate is open; jumprelu, those above a threshold for each
    latent. Of all scores: raw_topk, the k largest; abs_topk, the k largest by absolute value;
    normed_topk: of positive scores the k largest times the lengths of their decoder rows."""
    transcode: bool = False
    """The encoder reads x, not x - b_dec."""
    skip_connection: bool = False
    """Add x @ W_skip.T to the reconstruction."""
    normalization: Normalization = "none"
    """What is done to each token first, and undone at last: see `SAE`."""
    d_out: int = 0
    """Width of the reconstruction; 0 means d_in. Others are transcoders'."""
    prefixes: tuple[int, ...] = ()
    """Matryoshka: sizes, ascending to num_latents, of the nested dictionaries that each learn to
    reconstruct alone (arXiv 2503.17547); none: the whole one only. For topk and batch_topk."""

    def __post_init__(self) -> None:
        """Raise ValueError for a size that is not positive, or k that does not fit num_latents."""
        check_positive(d_in=self.d_in, expansion_factor=self.expansion_factor)
        if self.num_latents == 0:
            object.__setattr__(self, "num_latents", self.d_in * self.expansion_factor)
        check_positive(num_latents=self.num_latents)
        if self.d_out == self.d_in:
            object.__setattr__(self, "d_out", 0)
        if self.d_out < 0:
            raise ValueError(f"d_out: expected 0 or more, got {self.d_out}")
        if self.d_out and not self.transcode:
            raise ValueError(f"d_out: {self.d_out} is not d_in, so b_dec cannot be subtracted")
        check_choice("activation", self.activation, get_args(Activation))
        check_choice("normalization", self.normalization, get_args(Normalization))
        self._check_prefixes()
        if self.activation in _WITHOUT_K:
            object.__setattr__(self, "k", 0)
            return
        check_positive(k=self.k)
        if self.k > self.num_latents:
            raise ValueError(f"k: {self.k} active latents of only {self.num_latents}")
        if self.activation == "groupmax" and self.num_latents % self.k:
            raise ValueError(f"k: {self.num_latents} latents do not make {self.k} equal groups")

    def _check_prefixes(self) -> None:
        object.__setattr__(self, "prefixes", tuple(self.prefixes))
        if not self.prefixes:
            return
        if self.activation not in _PREFIXED:
            raise ValueError(f"prefixes: only {' and '.join(_PREFIXED)} SAEs have them")
        ascending = all(a < b for a, b in pairwise((0, *self.prefixes)))
        if not ascending or self.prefixes[-1] != self.num_latents:
            raise ValueError(
                f"prefixes: expected ascending numbers up to num_latents, {self.num_latents}, "
                f"got {self.prefixes}"
            )

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
        for name in _OF_ACTIVATION.get(self.activation, ()):
            shapes[name] = (self.num_latents,)
        if self.skip_connection:
            shapes["W_skip"] = (self.out_width, self.d_in)
        return shapes

    @property
    def trainable(self) -> bool:
        """Whether `train` makes such SAEs."""
        return self.activation in get_args(Trained) and self.normalization == "none"


def check_positive(**sizes: int) -> None:
    """Raise ValueError, naming the setting, for a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected a positive number, got {size}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError, naming the setting, for a value that is not among the choices."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
