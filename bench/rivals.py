"""Other people's trainers with our weights, and the settings under which they do what ours does.

What differs by convention is pinned. Each batch is scaled so that its total variance is its number
of tokens: the FVU is then the squared error per token, and a limit of the gradients' norm means the
same to both. All take our schedule of the learning rate; weights of penalties are constant. Decoder
rows are free for SAELens, which never normalises them, and then choose no latents. AuxK is off, as
each divides it by something else. dictionary_learning's mean over matryoshka's groups becomes a sum
by weights.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..sae import SAE, SAEConfig, TrainConfig
from ..sae.training.optimizer import Schedule
from .loops import NEVER, saelens_settings
from .problem import Shape

Step = Callable[[Tensor], float]
"""Trains on a batch (N, D) whose total variance is N, and returns the loss before the update."""


@dataclass(frozen=True)
class Contest:
    """An architecture that a peer trains, and that ours trains likewise."""

    peer: str
    """A name of `training.PACKAGES`."""
    job: str
    """Its name in the table."""
    make: "Callable[[SAE, Contest, Schedule], Step]"
    """(initial weights, this, the learning rate) -> the peer's step."""
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

    def start(self, shape: Shape, b_dec: Tensor) -> SAE:
        """Return the SAE that both begin with, for activations of mean ``b_dec`` (D,)."""
        settings = dict(self.sae)
        if "prefixes" in settings:
            settings["prefixes"] = tuple(shape.num_latents // part for part in (4, 2, 1))
        sae = SAE(SAEConfig(shape.d_in, shape.num_latents, k=shape.k, **settings), seed=0)
        sae.b_dec.data.copy_(b_dec)
        return sae

    @property
    def config(self) -> TrainConfig:
        """Our settings."""
        return TrainConfig(seeds=(0,), sparsity_warmup=0.0, dead_after=NEVER, **self.train)


def sparsify_step(sae: SAE, contest: Contest, schedule: Schedule) -> Step:
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

    def step(x: Tensor) -> float:
        coder.set_decoder_norm_to_unit_norm()
        loss: Tensor = coder(x).fvu
        torch.autograd.backward(loss)
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        return float(loss)

    return step


def saelens_step(sae: SAE, contest: Contest, schedule: Schedule) -> Step:
    """Use SAETrainer.step of SAELens."""
    library = import_module("sae_lens")
    trainer_class = import_module("sae_lens.training.sae_trainer").SAETrainer
    shape = Shape(1, sae.config.d_in, sae.config.num_latents, sae.config.k)
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
    trainer = trainer_class(saelens_settings(shape, auxk=False), theirs, iter(()))
    trainer.lr_scheduler = _pinned(trainer.optimizer, schedule)

    def step(x: Tensor) -> float:
        loss: Tensor = trainer.step(x).loss
        trainer.n_training_steps += 1
        return float(loss)

    return step


def dictionary_learning_step(sae: SAE, contest: Contest, schedule: Schedule) -> Step:
    """Use the update method of a trainer of dictionary_learning."""
    file, name = contest.kind.split(".")
    trainer_class = getattr(import_module(f"dictionary_learning.trainers.{file}"), name)
    settings = dict(contest.theirs)
    if sae.config.prefixes:
        sizes = [last - first for first, last in pairwise((0, *sae.config.prefixes))]
        settings["group_fractions"] = [size / sae.config.num_latents for size in sizes]
        settings["group_weights"] = [float(len(sizes))] * len(sizes)
    if sae.config.k:
        settings |= {"k": sae.config.k, "auxk_alpha": 0}
    trainer = trainer_class(
        steps=NEVER, activation_dim=sae.config.d_in, dict_size=sae.config.num_latents, layer=0,
        lm_name="", warmup_steps=1, device="cpu", **settings,
    )  # fmt: skip
    _copy(sae, trainer.ae, contest.names)
    trainer.scheduler = _pinned(trainer.optimizer, schedule)
    losses = _losses_of(trainer)

    def step(x: Tensor) -> float:
        trainer.update(1, x)  # not 0, which computes a geometric median for b_dec
        return losses.pop()

    return step


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
