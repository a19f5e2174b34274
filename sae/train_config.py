"""The settings of training; the command line shows them as its help."""

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from ..common.devices import Device
from ..common.packages import need
from .config import Activation, SAEConfig, check_choice, check_positive

Init = Literal["paper", "tied", "data"]
Penalty = Literal["l0", "tanh"]
InputScale = Literal["none", "sqrt_d"]
OptimizerName = Literal["adam", "adam8bit", "signum", "muon"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainConfig:
    """How SAEs are trained: several seeds on the same batches in the same order."""

    seeds: tuple[int, ...] = (0, 1)
    """One SAE is initialised and trained per seed."""
    batch_size: int = 1024
    """Activations per step."""
    epochs: int = 1
    """Passes over the activations."""
    optimizer: OptimizerName = "adam"
    """adam8bit: its moments in 8 bits, by bitsandbytes, for big dictionaries. signum: sign descent
    with schedule-free averaging, as in sparsify. muon: orthogonal steps of matrices."""
    lr: float | None = None
    """Peak learning rate; by default for 2^14 latents 2e-4, the paper's (signum: 5e-3), less by the
    square root for more; muon: 2e-3."""
    warmup_steps: int = 1000
    """Steps in which the learning rate rises, at most half of all."""
    decay: float = 1.0
    """Share of the run, at its end, in which the learning rate falls linearly to 0; at most all
    after the warm-up. 0: it stays at its peak, as it does for signum."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates of its two moments."""
    eps: float = 1e-8
    """What Adam adds to the root of its second moment."""
    clip: float = 0.0
    """Largest norm of a step's gradients; larger ones are scaled down to it. 0: any."""
    init: Init = "paper"
    """First weights. paper: encoder as nn.Linear, decoder its rows. tied: the encoder takes unit
    norm as well. data: rows of both are activations of the first batch, mixed with noise."""
    input_scale: InputScale = "none"
    """sqrt_d: activations are scaled so that their mean norm is sqrt(d_in), as SAELens'
    expected_average_only_in; the saved SAE has the factor in its weights."""
    sparsity: float = 0.0
    """Weight of the sparsity penalty beside the squared error, both means over tokens: of L1 (relu,
    gated), of L0 (jumprelu). These need one."""
    sparsity_warmup: float = 0.05
    """Share of the run in which that weight rises linearly from 0."""
    penalty: Penalty = "l0"
    """Of jumprelu. l0: number of active latents; tanh: its smooth form of January 2025."""
    target_l0: float = 0.0
    """Of jumprelu: with it, the penalty is 2 / T (L0 - T)^2 for T = target_l0. 0: none."""
    bandwidth: float = 0.05
    """Of jumprelu: width of the window around a threshold in which it gets a gradient."""
    init_threshold: float = 0.01
    """Of jumprelu: the thresholds' first value."""
    ste_to_input: bool = False
    """Of jumprelu: the window's gradient also reaches the encoder."""
    pre_act: float = 0.0
    """Of jumprelu: weight of a loss that raises the scores of dead latents. 0: none."""
    aux: float = 0.0
    """Of topk, batch_topk, groupmax: weight of AuxK, dead latents' reconstruction of the error,
    often 1/32. 0: none."""
    aux_k: int = 0
    """Dead latents that AuxK takes for a token; 0: half of d_in."""
    multi_topk: float = 0.0
    """Of topk: weight of the FVU with 4 k latents, often 1/8. 0: none."""
    threshold_decay: float = 0.99
    """Of batch_topk: how much of its threshold a step keeps."""
    shuffle_seed: int = 42
    """Decides the order of the activations, the same for every seed."""
    dead_after: int = 10_000_000
    """A latent counts as dead when it has not fired for so many tokens."""
    save_every: int = 1000
    """Steps between checkpoints."""
    log_every: int = 50
    """Steps between lines of log.jsonl."""
    moments: Precision = "float32"
    """Of Adam's two moments on a CPU; bfloat16 takes half the memory, rounded at random."""
    precision: Precision = "float32"
    """Of activations and weights in the products; weights are kept and moved in float32."""
    device: Device = "cpu"
    """Where the SAEs are trained. A GPU gives other roundings than a CPU."""

    @property
    def in_one_pass(self) -> bool:
        """Whether gradients are summed and rows moved in one pass, without being written."""
        adam = self.optimizer == "adam" and self.precision == "float32"
        return adam and self.device == "cpu"

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
        for name, choices in (
            ("device", Device),
            ("init", Init),
            ("penalty", Penalty),
            ("input_scale", InputScale),
            ("optimizer", OptimizerName),
            ("precision", Precision),
            ("moments", Precision),
        ):
            check_choice(name, getattr(self, name), get_args(choices))
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name}: expected a number from 0 to 1, got {getattr(self, name)}"
                )
        for name in _WEIGHTS:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: expected two numbers from 0 to below 1, got {self.betas}")
        if not 0 < self.bandwidth < math.inf:
            raise ValueError(f"bandwidth: expected a positive number, got {self.bandwidth}")
        check_positive(
            epochs=self.epochs,
            dead_after=self.dead_after,
            save_every=self.save_every,
            log_every=self.log_every,
        )


_SHARES = ("decay", "sparsity_warmup", "threshold_decay")
_WEIGHTS = (
    "eps", "clip", "sparsity", "target_l0", "init_threshold", "pre_act", "aux", "aux_k",
    "multi_topk",
)  # fmt: skip
_NEEDS_SPARSITY: tuple[Activation, ...] = ("relu", "gated", "jumprelu")
_ONLY_OF: dict[str, tuple[Activation, ...]] = {
    "sparsity": _NEEDS_SPARSITY,
    "target_l0": ("jumprelu",),
    "pre_act": ("jumprelu",),
    "ste_to_input": ("jumprelu",),
    "aux": ("topk", "batch_topk", "groupmax"),
    "multi_topk": ("topk",),
}
"""The settings that only some kinds of SAEs know."""
_LIBRARIES: dict[OptimizerName, tuple[str, ...]] = {
    "adam8bit": ("bitsandbytes",),
    "signum": ("schedulefree",),
}
"""What optimizers need that are not torch's."""


def check_settings(sae: SAEConfig, config: TrainConfig) -> None:
    """Raise unless the settings suit this kind of SAE.

    Raises:
        ValueError: the message names the setting.
    """
    kind = sae.activation
    for name, kinds in _ONLY_OF.items():
        if getattr(config, name) and kind not in kinds:
            raise ValueError(f"{name}: only for {', '.join(kinds)}, not {kind}")
    if kind in _NEEDS_SPARSITY and not config.sparsity:
        raise ValueError(f"sparsity: {kind} needs a positive number, the weight of its penalty")
    if config.target_l0 and config.penalty != "l0":
        raise ValueError(f"target_l0: only with the penalty l0, not {config.penalty}")
    if config.moments == "bfloat16" and not config.in_one_pass:
        raise ValueError(
            "moments: bfloat16 only with the optimizer adam and precision float32 on a CPU"
        )
    if config.multi_topk and sae.prefixes:
        raise ValueError("multi_topk: not together with prefixes")


def check_optimizer(config: TrainConfig) -> None:
    """Raise unless the optimizer's library is installed.

    Raises:
        ImportError: it is not; the message says how to get it.
    """
    need(f"optimizer: {config.optimizer}", *_LIBRARIES.get(config.optimizer, ()))


def only_its_own(kind: Activation, config: TrainConfig) -> TrainConfig:
    """Return the settings without those that this kind of SAE does not know."""
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    others = {name: defaults[name] for name, kinds in _ONLY_OF.items() if kind not in kinds}
    return replace(config, **others)  # type: ignore[arg-type]  # they are of the fields' own types
