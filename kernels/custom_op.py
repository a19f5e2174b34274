"""Defines the custom ops of all folders, and what their fakes and gradients share.

An op takes the fields of its tuple of inputs (interface.py), then the name of the backend that
api.py chose, all by position. Nothing here imports triton.

Each folder's ops.py has an `implementation` of its own: only a plain import statement of the
folder's own modules, typed by its own protocol, can be followed by an editor and a type checker.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def define_op(
    name: str,
    function: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    backward: Callable[..., Any] | None = None,
    setup: Callable[..., Any] | None = None,
    mutated: Sequence[str] = (),
) -> Any:
    """Define the op `twinsae::<name>`, once in a process, and return it.

    Args:
        name: the op's name.
        function: what it does, on every device. Its annotations are the op's schema.
        fake: returns empty tensors of the results' shapes and dtypes, for tracing.
        backward: returns a gradient for each argument; None: inputs never need one.
        setup: keeps what `backward` reads.
        mutated: names of the arguments that the op writes to.

    """
    # From the repository's root, a file may also be imported without the `twinsae.` of its name.
    if not hasattr(torch.ops.twinsae, name):
        op, library = f"twinsae::{name}", torch.library
        # Not custom_op: its first call imports torch._dynamo, which takes a second or two.
        library.define(op, library.infer_schema(function, mutates_args=mutated))
        library.impl(op, "CompositeExplicitAutograd", function)
        library.register_fake(op, fake)
        if backward is not None:
            library.register_autograd(op, backward, setup_context=setup)
    return getattr(torch.ops.twinsae, name)


def no_backward(name: str) -> Callable[..., None]:
    """Return a backward function that refuses to go through the op of this name."""

    def backward(*_: Any) -> None:
        raise NotImplementedError(f"{name}: there is no gradient through it")

    return backward


def first_order_only() -> None:
    """Raise in a backward pass that is itself recorded, to be differentiated again."""
    # Gradients are recorded during a backward pass only with create_graph=True.
    if torch.is_grad_enabled():
        raise NotImplementedError("create_graph: twinsae's ops have no second derivatives")


def cast(tensor: Tensor | None, like: Tensor) -> Tensor | None:
    """Return the tensor in the dtype of another one; None stays None."""
    return None if tensor is None else tensor.to(like.dtype)


def stats_fake(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return what stands for the two numbers of a scan's stats while tracing."""
    return like.new_empty((), dtype=torch.int64), like.new_empty((), dtype=torch.int64)
