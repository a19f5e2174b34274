"""Times the search for the m nearest latents of both sides, with which a match begins."""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ..kernels.topk import MutualTopK, mutual_topk
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, Task, measure, scan_note
from .refuse import refuse, score_rounding

if TYPE_CHECKING:
    from .clock import Call

CANDIDATES = 32  # m: partners of each latent
TILE = 1024  # rows of the product that are computed at a time
FAISS = "faiss-cpu IndexFlatIP"

Best = tuple[Tensor, Tensor]  # values and indices, (L, m) each


@torch.no_grad()
def bench_candidates(inputs: Inputs, rounds: int) -> list[Measurement]:
    """Time `mutual_topk` on two decoders beside torch and, where it is installed, faiss-cpu.

    Raises:
        WrongResultError: our result is wrong, or not that of faiss.
    """
    a, b = (functional.normalize(sae.W_dec.detach()) for sae in (inputs.sae, inputs.other))
    m = min(CANDIDATES, len(a))
    found = mutual_topk(a, b, m)
    _check(a, b, found, "torch", torch_best(a, b, m))
    ways: dict[str, Call] = {
        OURS: lambda: mutual_topk(a, b, m),
        "torch tiles, topk twice": lambda: torch_best(a, b, m),
        PRODUCT: lambda: torch_product(a, b),
    }
    if find_spec("faiss"):
        _check(a, b, found, "faiss", faiss_best(a, b, m))
        ways[FAISS] = lambda: faiss_best(a, b, m)
    sizes = {"L": len(a), "D": a.shape[1], "m": m}
    task = Task("candidates", sizes, inputs.source, 2 * a.numel() * len(b))
    ours, *others = measure(task, ways, rounds)
    return [replace(ours, notes=[scan_note(found.stats, len(a))]), *others]


def torch_best(a: Tensor, b: Tensor, m: int) -> tuple[Best, Best]:
    """Find the m best partners of each row of ``a`` (L, D) and of ``b`` (L, D), tile by tile."""
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
    """Compute ``a`` @ ``b``.T tile by tile, and keep no tile."""
    for rows in _tiles(a):
        torch.mm(rows, b.T)


def faiss_best(a: Tensor, b: Tensor, m: int) -> tuple[Best, Best]:
    """Find the same partners as `torch_best` with the exact index of faiss-cpu."""
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
        refuse(f"candidates, by {name}: the values, beside {peer}", values, best, allowed)
        for rows in _tiles(torch.arange(len(left))):
            named = torch.einsum("nd,nmd->nm", left[rows], right[indices[rows]])
            what = f"candidates, by {name}: the scores of the latents named"
            refuse(what, values[rows], named, allowed)
