"""The public updates by latent. Checks the arguments, chooses the backend, and calls it."""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from .. import checks
from ..backends import Backend, resolve_backend
from .interface import AdamInputs, Gradient, Rule, Term
from .rounding import key_of


class Moments(NamedTuple):
    """What Adam keeps of earlier gradients; both are zeros before the first update."""

    exp_avg: Tensor
    """(L, D): the mean of the gradients."""
    exp_avg_sq: Tensor
    """(L, D): the mean of their squares."""


class AdamStep(NamedTuple):
    """The numbers of one update by Adam, with the names and meanings of `torch.optim.Adam`."""

    lr: float
    step: int
    """The number of this update, from 1 on."""
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    scale: float = 1.0
    """The factor of all gradients, for clipping."""
    seed: int = 0
    """Of the random bits that round moments to bfloat16; they depend on `step` too."""


class LatentTotals(NamedTuple):
    """Sums that an update makes on its way, for the gradients of biases."""

    sums: Tensor
    """(L,): the sum of all terms' scales for each latent: an encoder's d b_enc."""
    weighted: Tensor
    """(D,): the sum of sums[l] * weight[l], with the weight from before the update."""
    fired: Tensor
    """(L,) int64: the number of rows of the first term that name the latent."""


def latent_adam(
    weight: Tensor,
    moments: Moments,
    terms: Sequence[Term],
    adam: AdamStep,
    *,
    decay: Tensor | None = None,
    unit_rows: bool = False,
    backend: Backend = "auto",
) -> LatentTotals:
    """Update `weight` and its moments in place, as `torch.optim.Adam` would by the dense gradient.

    The gradient of row l is the sum over all terms, plus decay[l] * weight[l]. On a CPU it is
    computed some rows at a time, just before they are updated, and is never written to memory. Rows
    without a gradient are updated too: their moments decay and still move them. There are no
    gradients through this.

    For a TopK SAE's encoder the term is (d_values, indices, x - b_dec), for its decoder (values,
    indices, g): see `latent_grads`. A second loss term, as AuxK has, is a second term. A gradient
    that adds f[l] * z to every row is a term of one row: scales f (1, L), indices 0 to L - 1, rows
    z (1, D).

    Args:
        weight: (L, D) float32, or float64 (reference only), contiguous; written.
        moments: contiguous, each (L, D), both of the weight's dtype or both bfloat16; written.
            bfloat16 moments are rounded at random (see rounding.py), by bits that depend on
            `adam.seed`, `adam.step` and the place of a number alone.
        terms: the parts of the gradient.
        adam: the numbers of this update.
        decay: (L,), the weight's dtype, or None. A penalty that grows with the norm of a decoder's
            row, such as sum_n v_nl |W_l|, has the gradient (sum_n v_nl) / |W_l| * W_l.
        unit_rows: rows have norm 1 and shall keep it. The part of the gradient along its row is
            taken away before the update, and each row is scaled to norm 1 after it; a row of zeros
            stays as it is.
        backend: "auto" takes C++ for float32 on a CPU, else the reference. There is no "triton".

    Returns:
        LatentTotals, of the weight's dtype. Neither `adam.scale` nor `decay` counts in them.

    Raises:
        ValueError: a shape, a device, a number or the backend is wrong, or an index is out of
            range; nothing is written then.
        TypeError: a dtype is wrong.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.

    """
    gradient = _gradient(weight, terms, decay, unit_rows)
    for name, tensor in moments._asdict().items():
        _check_moment(f"moments.{name}", tensor, moments.exp_avg.dtype, weight)
    rule, key = _rule(adam), key_of(adam.seed, adam.step)
    implementation = _implementation("latent_adam", backend, weight)
    sums = gradient.weight.new_empty(weight.shape[0])
    totals = LatentTotals(
        sums, sums.new_empty(weight.shape[1]), torch.empty_like(sums, dtype=torch.int64)
    )
    exp_avg, exp_avg_sq = (t.detach() for t in moments)
    implementation.latent_adam(AdamInputs(gradient, exp_avg, exp_avg_sq, rule, key, *totals))
    return totals


def latent_squares(
    weight: Tensor,
    terms: Sequence[Term],
    *,
    decay: Tensor | None = None,
    unit_rows: bool = False,
    backend: Backend = "auto",
) -> Tensor:
    """Return the sum of the squares of the gradient that `latent_adam` would take.

    Clipping by the norm of all gradients needs it before the first update. On a CPU the gradient is
    not written to memory. The arguments and errors are those of `latent_adam`; nothing is written.

    Returns:
        (), float64.

    """
    gradient = _gradient(weight, terms, decay, unit_rows)
    squares: Tensor = _implementation("latent_squares", backend, weight).latent_squares(gradient)
    return squares


def _gradient(
    weight: Tensor, terms: Sequence[Term], decay: Tensor | None, unit_rows: bool
) -> Gradient:
    """Check what the gradient depends on, and return it without what autograd has recorded."""
    checks.check_dims("weight", weight, 2)
    if weight.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"weight: expected float32 or float64, got {weight.dtype}")
    _check_contiguous("weight", weight)
    for i, term in enumerate(terms):
        _check_term(f"terms[{i}]", term, weight)
    if decay is not None:
        checks.check_shape("decay", decay, (weight.shape[0],))
        checks.check_like("decay", decay, "weight", weight)
        decay = decay.detach()
    detached = [Term(t.scales.detach(), t.indices, t.rows.detach(), t.row_offsets) for t in terms]
    return Gradient(weight.detach(), detached, decay, unit_rows)


def _check_term(name: str, term: Term, weight: Tensor) -> None:
    scales, indices, rows, row_offsets = term
    checks.check_dims(f"{name}.scales", scales, 2 if row_offsets is None else 1)
    checks.check_indices(f"{name}.indices", indices, tuple(scales.shape))
    checks.check_device(f"{name}.indices", indices, "weight", weight)
    if row_offsets is not None:
        checks.check_row_offsets(row_offsets, indices)
    count = scales.shape[0] if row_offsets is None else row_offsets.shape[0] - 1
    checks.check_shape(f"{name}.rows", rows, (count, weight.shape[1]))
    checks.check_like(f"{name}.scales", scales, "weight", weight)
    checks.check_like(f"{name}.rows", rows, "weight", weight)


def _check_moment(name: str, moment: Tensor, dtype: torch.dtype, weight: Tensor) -> None:
    checks.check_shape(name, moment, tuple(weight.shape))
    if moment.dtype not in (weight.dtype, torch.bfloat16) or moment.dtype != dtype:
        raise TypeError(
            f"{name}: expected both moments in {weight.dtype}, or both in torch.bfloat16, "
            f"got {moment.dtype}"
        )
    checks.check_device(name, moment, "weight", weight)
    _check_contiguous(name, moment)


def _check_contiguous(name: str, tensor: Tensor) -> None:
    if not tensor.is_contiguous():
        raise ValueError(f"{name}: expected a contiguous tensor")


def _rule(adam: AdamStep) -> Rule:
    if adam.step < 1:
        raise ValueError(f"adam.step: expected 1 or more, got {adam.step}")
    for name in ("beta1", "beta2"):
        if not 0 <= getattr(adam, name) < 1:
            raise ValueError(f"adam.{name}: expected 0 to below 1, got {getattr(adam, name)}")
    first, second = 1 - adam.beta1**adam.step, 1 - adam.beta2**adam.step
    return Rule(
        adam.scale, 1 - adam.beta1, adam.beta2, 1 - adam.beta2, adam.lr / first,
        1 / math.sqrt(second), adam.eps,
    )  # fmt: skip


def _implementation(op: str, backend: str, weight: Tensor) -> ModuleType:
    if backend == "triton":
        raise ValueError(f"backend: 'triton' cannot serve {op}: it has no kernel for it")
    if resolve_backend(op, backend, weight) == "native":
        from . import native

        return native
    from . import reference

    return reference
