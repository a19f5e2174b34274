"""Other people's trainers with our weights, and the settings under which they do what ours does.

What differs by convention is pinned. Each batch is scaled so that its total variance is its number
of tokens: the FVU is then the squared error per token, and a limit of the gradients' norm means the
same to both. All take our schedule of the learning rate; weights of penalties are constant. Decoder
rows are free for SAELens, which never normalises them, and then choose no latents. AuxK is off,
except in a contest of its own, where dictionary_learning's is divided and scaled as ours, and takes
the latents that were dead before the batch. dictionary_learning's mean over matryoshka's groups
becomes a sum by weights.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..sae import SAE, SAEConfig, TrainConfig
from ..sae.training.architectures import architecture
from ..sae.training.optimizer import Schedule
from .loops import AUXK_ALPHA, NEVER, saelens_settings
from .problem import Shape

Step = Callable[[Tensor], float]
"""Trains on a batch (N, D) whose total variance is N, and returns the loss before the update."""


class Rival(NamedTuple):
    """A peer's SAE in training."""

    step: Step
    module: nn.Module
    """Has the parameters."""


@dataclass(frozen=True)
class Contest:
    """An architecture that a peer trains, and that ours trains likewise."""

    peer: str
    """A name of `training.PACKAGES`."""
    job: str
    """Its name in the table."""
    make: "Callable[[SAE, Contest, Schedule, Shape], Rival]"
    """(initial weights, this, the learning rate, the sizes) -> the peer's."""
    kind: str
    """The peer's class."""
    names: Mapping[str, str]
    """Its parameters' names by ours."""
    sae: Mapping[str, Any]
    """Of `SAEConfig`, besides sizes."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Of `TrainConfig`."""
    theirs: Mapping[str, Any] = field(default_factory=dict)
    """The peer's own settings."""
    silent_batches: int = 0
    """After how many batches without firing a latent is dead, for AuxK; 0: AuxK is off."""
    differs: str = ""
    """How the peer's loss differs from ours, if it does."""

    @property
    def has_k(self) -> bool:
        """Whether the number of active latents is given."""
        return SAEConfig(1, 1, k=1, activation=self.sae["activation"]).k > 0

    def start(self, shape: Shape, b_dec: Tensor) -> SAE:
        """Return the SAE that both begin with, for activations of mean ``b_dec`` (D,)."""
        settings = dict(self.sae)
        if "prefixes" in settings:
            settings["prefixes"] = tuple(shape.num_latents // part for part in (4, 2, 1))
        sae = SAE(SAEConfig(shape.d_in, shape.num_latents, k=shape.k, **settings), seed=0)
        sae.b_dec.data.copy_(b_dec)
        if sae.config.transcode:  # the encoder does not subtract b_dec
            sae.encoder.bias.data.copy_(-(sae.encoder.weight.data @ b_dec))
        architecture(sae.config, self.config(shape)).initialise(sae)
        return sae

    def config(self, shape: Shape) -> TrainConfig:
        """Return our settings."""
        settings: dict[str, Any] = {"dead_after": NEVER, **self.train}
        if self.silent_batches:
            settings |= {"dead_after": self.silent_batches * shape.num_tokens, "aux": AUXK_ALPHA}
        return TrainConfig(seeds=(0,), sparsity_warmup=0.0, **settings)

    def learned(self, sae: SAE, module: nn.Module) -> SAE:
        """Give ``sae`` the peer's weights, and return it."""
        for name, their in self.names.items():
            mine, parameter = sae.get_parameter(name).data, module.get_parameter(their).detach()
            mine.copy_(parameter if mine.shape == parameter.shape else parameter.T)
        return sae


def sparsify_rival(sae: SAE, contest: Contest, schedule: Schedule, _shape: Shape) -> Rival:
    """Do what the Trainer of sparsify does for each batch with optimizer="adam"."""
    os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")  # before the import; peers.py says why
    library = import_module("sparsify")
    config = library.SparseCoderConfig(
        num_latents=sae.config.num_latents, k=sae.config.k, **contest.theirs
    )
    coder = library.SparseCoder(sae.config.d_in, config)
    _copy(sae, coder, contest.names)
    optimizer = torch.optim.Adam(coder.parameters())
    scheduler = _pinned(optimizer, schedule)
    silent = torch.zeros(sae.config.num_latents, dtype=torch.int64)

    def step(x: Tensor) -> float:
        coder.set_decoder_norm_to_unit_norm()
        dead = silent >= contest.silent_batches if contest.silent_batches else None
        out = coder(x, dead_mask=dead)
        loss: Tensor = out.fvu + AUXK_ALPHA * out.auxk_loss
        torch.autograd.backward(loss)
        silent.add_(1)
        silent[out.latent_indices.flatten()] = 0
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        return loss.item()

    return Rival(step, coder)


def saelens_rival(sae: SAE, contest: Contest, schedule: Schedule, shape: Shape) -> Rival:
    """Use SAETrainer.step of SAELens."""
    library = import_module("sae_lens")
    trainer_class = import_module("sae_lens.training.sae_trainer").SAETrainer
    settings = dict(contest.theirs)
    if sae.config.prefixes:
        settings["matryoshka_widths"] = list(sae.config.prefixes)
    if sae.config.k:
        settings |= {"k": sae.config.k, "rescale_acts_by_decoder_norm": False}
    config = getattr(library, f"{contest.kind}TrainingSAEConfig")
    theirs = getattr(library, f"{contest.kind}TrainingSAE")(
        config(d_in=shape.d_in, d_sae=shape.num_latents, apply_b_dec_to_input=True, **settings)
    )
    _copy(sae, theirs, contest.names)
    of_trainer = saelens_settings(shape, auxk=False)
    if contest.silent_batches:
        of_trainer.dead_feature_window = contest.silent_batches - 1
    trainer = trainer_class(of_trainer, theirs, iter(()))
    trainer.lr_scheduler = _pinned(trainer.optimizer, schedule)

    def step(x: Tensor) -> float:
        loss: Tensor = trainer.step(x).loss
        trainer.n_training_steps += 1
        return loss.item()

    return Rival(step, theirs)


def dictionary_learning_rival(
    sae: SAE, contest: Contest, schedule: Schedule, shape: Shape
) -> Rival:
    """Use the update method of a trainer of dictionary_learning."""
    file, name = contest.kind.split(".")
    trainer_class = getattr(import_module(f"dictionary_learning.trainers.{file}"), name)
    settings = dict(contest.theirs)
    if sae.config.prefixes:
        sizes = [last - first for first, last in pairwise((0, *sae.config.prefixes))]
        settings["group_fractions"] = [size / sae.config.num_latents for size in sizes]
        settings["group_weights"] = [float(len(sizes))] * len(sizes)
    if sae.config.k:
        auxk = AUXK_ALPHA if contest.silent_batches else 0
        settings |= {"k": sae.config.k, "auxk_alpha": auxk}
    trainer = trainer_class(
        steps=NEVER, activation_dim=sae.config.d_in, dict_size=sae.config.num_latents, layer=0,
        lm_name="", warmup_steps=1, device="cpu", **settings,
    )  # fmt: skip
    _copy(sae, trainer.ae, contest.names)
    trainer.scheduler = _pinned(trainer.optimizer, schedule)
    if contest.silent_batches:
        trainer.dead_feature_threshold = contest.silent_batches * shape.num_tokens
        _auxk_as_ours(trainer)
    losses = _losses_of(trainer)

    def step(x: Tensor) -> float:
        trainer.update(1, x)  # not 0, which computes a geometric median for b_dec
        return losses.pop()

    return Rival(step, trainer.ae)


def _auxk_as_ours(trainer: Any) -> None:
    """Compute AuxK as ours is.

    It is divided by the batch's variance, 1 for each token, and not by that of the error; it is
    scaled by the share of dead latents; and dead are those that were so before the batch.
    """
    auxk, loss = trainer.get_auxiliary_loss, trainer.loss
    before = trainer.num_tokens_since_fired.clone()

    def as_ours(error: Tensor, scores: Tensor) -> Tensor:
        now, trainer.num_tokens_since_fired = trainer.num_tokens_since_fired, before
        found: Tensor = auxk(error, scores)
        trainer.num_tokens_since_fired = now
        if trainer.dead_features:
            found = trainer.pre_norm_auxk_loss * min(trainer.dead_features / trainer.top_k_aux, 1)
        return found

    def remembering(*args: Any, **kwargs: Any) -> Any:
        before.copy_(trainer.num_tokens_since_fired)
        return loss(*args, **kwargs)

    trainer.get_auxiliary_loss, trainer.loss = as_ours, remembering


def _losses_of(trainer: Any) -> list[float]:
    """Return a list to which the trainer's losses are appended; not all return them."""
    losses: list[float] = []
    theirs = trainer.loss

    def loss(*args: Any, **kwargs: Any) -> Tensor:
        found: Tensor = theirs(*args, **kwargs)
        losses.append(found.item())
        return found

    trainer.loss = loss
    return losses


def _copy(sae: SAE, module: nn.Module, names: Mapping[str, str]) -> None:
    """Give a peer's parameters the numbers of ours, transposed where it has them so."""
    for name, their in names.items():
        parameter, mine = module.get_parameter(their), sae.get_parameter(name).detach()
        parameter.data.copy_(mine if mine.shape == parameter.shape else mine.T)


def _pinned(optimizer: torch.optim.Optimizer, schedule: Schedule) -> LambdaLR:
    for group in optimizer.param_groups:
        group["initial_lr"] = 1.0
    return LambdaLR(optimizer, schedule.lr)
