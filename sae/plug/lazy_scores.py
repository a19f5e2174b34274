"""Scores of all latents that are computed when something asks for them, and only then."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from .functional import Active

Largest = Callable[[int, Tensor | None], Active]
"""(k, mask (L,) or None) -> the k largest scores among those that the mask allows."""


class LazyScores(Tensor):
    """Stands for scores (..., L).

    Their k largest, of all or of those that ``torch.where(mask, scores, -inf)`` leaves, are found
    without them. Anything else that is done with it is done with the scores themselves.
    """

    _compute: Callable[[], Tensor]
    _largest: Largest
    _mask: Tensor | None

    @staticmethod
    def __new__(
        cls,
        like: Tensor,
        num_latents: int,
        compute: Callable[[], Tensor],
        largest: Largest,
        mask: Tensor | None = None,
    ) -> "LazyScores":
        """Return a stand-in for compute(), (..., L), with dtype and device of ``like`` (..., k)."""
        shape = (*like.shape[:-1], num_latents)
        scores: LazyScores = Tensor._make_wrapper_subclass(
            cls, shape, dtype=like.dtype, device=like.device
        )
        scores._compute, scores._largest, scores._mask = compute, largest, mask
        return scores

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do as the class says; torch calls this for every function of such tensors."""
        kwargs = kwargs or {}
        if func in _FACTS:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if func is torch.where and not kwargs and _masks_scores(*args):
            mask, scores, _ = args
            return scores._masked(mask.reshape(-1))
        if func in (Tensor.topk, torch.topk) and _is_of_largest(*args, **kwargs):
            scores, k = args[:2]
            return torch.return_types.topk(scores._largest(k, scores._mask))
        return func(*_dense(args), **_dense(kwargs))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Serve what reaches torch's core without `__torch_function__`."""
        return func(*_dense(args), **_dense(kwargs or {}))

    def _masked(self, mask: Tensor) -> "LazyScores":
        with torch._C.DisableTorchFunctionSubclass():
            return LazyScores(self, self.shape[-1], self._compute, self._largest, mask)


_FACTS = attrgetter("shape.__get__", "dtype.__get__", "device.__get__", "size", "dim")(Tensor)


def _dense(arguments: Any) -> Any:
    """Return the arguments with the scores themselves in place of what stands for them."""

    def compute(scores: LazyScores) -> Tensor:
        dense = scores._compute()
        return dense if scores._mask is None else dense.where(scores._mask, -torch.inf)

    return tree_map_only(LazyScores, compute, arguments)


def _masks_scores(condition: Any, scores: Any, other: Any) -> bool:
    """Whether it is torch.where((1, L) or (L,) bool, scores, -inf)."""
    if not isinstance(scores, LazyScores) or not isinstance(condition, Tensor):
        return False
    fits = condition.numel() == scores.shape[-1] == condition.shape[-1]
    return fits and scores._mask is None and isinstance(other, float) and other == -torch.inf


def _is_of_largest(scores: Any, k: Any, dim: int = -1, largest: bool = True, **_: bool) -> bool:
    return isinstance(scores, LazyScores) and isinstance(k, int) and dim == -1 and largest
