"""The weights that training begins with, as far as they depend on the first batch."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .gradients import dot_rows
from .learner import Learner


@torch.no_grad()
def begin(learner: Learner, x: Tensor, target: Tensor) -> None:
    """Set the weights of a new SAE from the first batch, ``x`` (N, d_in) and ``target`` (N, d_out).

    The reconstruction begins at the target's mean (section 2.1 of arXiv 2501.16615). A transcoder
    begins without its decoder, and its encoder's bias takes off the mean of ``x``, as in sparsify.
    """
    sae = learner.sae
    sae.b_dec.copy_(target.mean(dim=0))
    if learner.job.target:
        sae.W_dec.zero_()
        sae.encoder.bias.copy_(-dot_rows(sae.encoder.weight, x.mean(dim=0)))
    elif learner.job.config.init != "paper":
        rows = sae.encoder.weight
        if learner.job.config.init == "data":
            rows = _mixed(rows, x, learner.job.seed)
        rows = normalize(rows)
        sae.encoder.weight.copy_(rows)
        sae.W_dec.copy_(rows)


def _mixed(rows: Tensor, x: Tensor, seed: int) -> Tensor:
    """Return, for each of the random ``rows`` (L, D), its direction plus that of an activation.

    Activations are less their mean, and drawn without repetition as long as there are enough.
    """
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(-(-len(rows) // len(x)))]
    drawn = torch.cat(orders)[: len(rows)].to(x.device)
    return normalize(rows) + normalize((x - x.mean(dim=0))[drawn])


def scale_of(learner: Learner, x: Tensor) -> float:
    """Return the factor by which a new SAE's activations, first ``x`` (N, d_in), are multiplied."""
    if learner.job.config.input_scale == "none":
        return 1.0
    mean_norm = float(torch.linalg.vector_norm(x, dim=1).mean())
    return float(x.shape[1] ** 0.5) / mean_norm
