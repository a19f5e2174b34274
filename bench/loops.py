"""Other people's training loops with their optimisers, as they are and with our plug-ins.

Both use the same seed, batches and settings. With AuxK, a latent counts as dead when it has been
silent for two batches, so that the loss of dead latents is active in runs of a few steps.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ..sae import plug
from .problem import Shape

LR = 2e-4
AUXK_ALPHA = 1 / 32
SILENT_BATCHES = 2
NEVER = 10**9


@dataclass(frozen=True)
class Loop:
    """An SAE in training by the trainer of a peer."""

    step: Callable[[Tensor], object]
    """Trains on one batch (N, D), with the optimiser."""
    reconstruct: Callable[[Tensor], Tensor]
    """x (N, D) -> x^ (N, D)."""


def sparsify_loop(shape: Shape, b_dec: Tensor, auxk: bool, plugged: bool) -> Loop:
    """Do what the Trainer of sparsify does for each batch; it has no method for one step."""
    os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")  # before the import; peers.py says why
    library = import_module("sparsify")
    sign_sgd = import_module("sparsify.sign_sgd").SignSGD
    schedule_free = import_module("schedulefree").ScheduleFreeWrapper
    torch.manual_seed(0)
    config = library.SparseCoderConfig(num_latents=shape.num_latents, k=shape.k)
    coder = library.SparseCoder(shape.d_in, config)
    coder.b_dec.data.copy_(b_dec)
    rate = 5e-3 / (shape.num_latents / 2**14) ** 0.5
    optimizer = schedule_free(sign_sgd(coder.parameters(), lr=rate), momentum=0.95)
    optimizer.train()
    silent = torch.zeros(shape.num_latents, dtype=torch.int64)
    patched = plug.sparsify if plugged else nullcontext

    def step(x: Tensor) -> None:
        coder.set_decoder_norm_to_unit_norm()
        with patched():
            out = coder(x, dead_mask=silent > SILENT_BATCHES if auxk else None)
            (out.fvu + AUXK_ALPHA * out.auxk_loss).backward()
        silent.add_(1)
        silent[out.latent_indices.flatten()] = 0
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()

    return Loop(step, lambda x: coder(x).sae_out)


def saelens_loop(shape: Shape, b_dec: Tensor, auxk: bool, plugged: bool) -> Loop:
    """Use SAETrainer.step of SAELens with its default settings."""
    library = import_module("sae_lens")
    trainer_class = import_module("sae_lens.training.sae_trainer").SAETrainer
    registry = import_module("sae_lens.registry")
    with plug.saelens() if plugged else nullcontext():
        sae_class, _ = registry.get_sae_training_class("topk")
    torch.manual_seed(0)
    sae = sae_class(
        library.TopKTrainingSAEConfig(
            d_in=shape.d_in,
            d_sae=shape.num_latents,
            k=shape.k,
            aux_loss_coefficient=AUXK_ALPHA,
        )
    )
    sae.b_dec.data.copy_(b_dec)
    settings = saelens_settings(shape, auxk)
    with plug.saelens() if plugged else nullcontext():
        trainer = trainer_class(settings, sae, iter(()))

    def step(x: Tensor) -> None:
        trainer.step(x)
        trainer.n_training_steps += 1

    return Loop(step, sae)


def saelens_settings(shape: Shape, auxk: bool) -> Any:
    """Return the settings of SAELens' trainer, with latents dead after two batches if ``auxk``."""
    config = import_module("sae_lens.config")
    return config.SAETrainerConfig(
        total_training_samples=NEVER,
        train_batch_size_samples=shape.num_tokens,
        dead_feature_window=SILENT_BATCHES if auxk else NEVER,
        lr=LR,
        lr_end=LR,
        lr_scheduler_name="constant",
        lr_warm_up_steps=0,
        lr_decay_steps=0,
        n_restart_cycles=1,
        adam_beta1=0.9,
        adam_beta2=0.999,
        feature_sampling_window=NEVER,
        n_batches_for_norm_estimate=1,
        n_checkpoints=0,
        checkpoint_path=None,
        save_final_checkpoint=False,
        device="cpu",
        autocast=False,
        logger=config.LoggingConfig(log_to_wandb=False),
    )


def dictionary_learning_loop(shape: Shape, b_dec: Tensor, auxk: bool, plugged: bool) -> Loop:
    """Use TopKTrainer.update of dictionary_learning."""
    if plugged:
        trainer_class = import_module("twinsae.sae.plug.dictionary_learning").FastTopKTrainer
    else:
        trainer_class = import_module("dictionary_learning.trainers.top_k").TopKTrainer
    trainer = trainer_class(
        steps=NEVER,
        activation_dim=shape.d_in,
        dict_size=shape.num_latents,
        k=shape.k,
        layer=0,
        lm_name="",
        lr=LR,
        warmup_steps=1,
        auxk_alpha=AUXK_ALPHA if auxk else 0,
        seed=0,
        device="cpu",
    )
    trainer.dead_feature_threshold = SILENT_BATCHES * shape.num_tokens
    trainer.ae.b_dec.data.copy_(b_dec)
    # Step 1, because step 0 computes a geometric median for b_dec.
    return Loop(lambda x: trainer.update(1, x), trainer.ae)


LOOPS: dict[str, Callable[[Shape, Tensor, bool, bool], Loop]] = {
    "sparsify": sparsify_loop,
    "SAELens": saelens_loop,
    "dictionary_learning": dictionary_learning_loop,
}
