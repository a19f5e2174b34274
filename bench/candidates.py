"""The m nearest of both sides of two dictionaries: where a matching begins."""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional

from ..kernels.topk import MutualTopK, mutual_topk
from .inputs import Inputs
from .measurement import (
    OURS,
    PRODUCT,
    Measurement,
    Way,
    measure,
    refuse_unless_close,
    scan_fact,
    score_rounding,
)

CANDIDATES = 32  # m
TILE = 1024  # rows of the product at a time
FAISS = "faiss-cpu IndexFlatIP"

Best = tuple[Tensor, Tensor]  # values and indices, (L, m) each


@torch.no_grad()
def bench_candidates(inputs: Inputs, rounds: int) -> Measurement:
    """Time `mutual_topk` on two decoders beside torch and, where it is installed, faiss-cpu.

    Raises:
        RuntimeError: our result is wrong.
    """
    a, b = (functional.normalize(sae.W_dec.detach()) for sae in (inputs.sae, inputs.other))
    m = min(CANDIDATES, len(a))
    found = mutual_topk(a, b, m)
    _check(a, b, found, "torch", torch_best(a, b, m))
    ways: dict[str, Way] = {
        OURS: lambda: mutual_topk(a, b, m),
        "torch tiles, topk twice": lambda: torch_best(a, b, m),
        PRODUCT: lambda: torch_product(a, b),
    }
    if find_spec("faiss"):
        _check(a, b, found, "faiss", faiss_best(a, b, m))
        ways[FAISS] = lambda: faiss_best(a, b, m)
    facts = {OURS: scan_fact(found.stats, len(a))}
    sizes = {"L": len(a), "D": a.shape[1], "m": m}
    measured = measure(sizes, ways, 2 * a.numel() * len(b), rounds)
    return replace(measured, facts=facts)


def torch_best(a: Tensor, b: Tensor, m: int) -> tuple[Best, Best]:
    """Return the m best of each row of ``a`` (L, D) and of ``b`` (L, D), in one pass of tiles."""
    rows: list[Best] = []
    columns: Best | None = None
    for begin, left in zip(range(0, len(a), TILE), _tiles(a), strict=True):
        scores = left @ b.T  # (tile, L)
        rows.append(_pair(scores.topk(m)))
        values, indices = scores.T.topk(min(m, len(left)))  # (L, m)
        columns = _merge(columns, (values, indices + begin), m)
    assert columns is not None
    best = torch.cat([each[0] for each in rows]), torch.cat([each[1] for each in rows])
    return best, columns


def torch_product(a: Tensor, b: Tensor) -> None:
    """Compute ``a`` @ ``b``.T, tile by tile, and keep none of it."""
    for rows in _tiles(a):
        torch.mm(rows, b.T)


def faiss_best(a: Tensor, b: Tensor, m: int) -> tuple[Best, Best]:
    """Ask faiss-cpu's exact index for the m best in both directions."""
    faiss = import_module("faiss")
    faiss.omp_set_num_threads(torch.get_num_threads())

    def ask(questions: Tensor, answers: Tensor) -> Best:
        index = faiss.IndexFlatIP(answers.shape[1])
        index.add(answers.numpy())
        values, indices = index.search(questions.numpy(), m)
        return torch.from_numpy(values), torch.from_numpy(indices)

    return ask(a, b), ask(b, a)


def _tiles(rows: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, TILE)


def _pair(top: torch.return_types.topk) -> Best:
    return top.values, top.indices


def _merge(old: Best | None, new: Best, m: int) -> Best:
    if old is None:
        return new
    values, indices = (torch.cat(both, dim=1) for both in zip(old, new, strict=True))
    kept, places = values.topk(min(m, values.shape[1]))
    return kept, indices.gather(1, places)


def _check(a: Tensor, b: Tensor, found: MutualTopK, peer: str, expected: tuple[Best, Best]) -> None:
    allowed = score_rounding(a, b)
    sides = (
        ("row", a, b, found.row_values, found.row_indices, expected[0]),
        ("column", b, a, found.col_values, found.col_indices, expected[1]),
    )
    for name, left, right, values, indices, (best, _) in sides:
        refuse_unless_close(f"candidates, by {name}: the values", values, best, allowed, peer)
        for rows in _tiles(torch.arange(len(left))):
            named = torch.einsum("nd,nmd->nm", left[rows], right[indices[rows]])
            what = f"candidates, by {name}: what is named"
            refuse_unless_close(what, values[rows], named, allowed)
