"""The first graph: for each latent of either side its best partners on the other."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..kernels.topk import mutual_topk
from .selection import Selection, scan_error

Source = Literal["scan", "faiss"]


@dataclass(frozen=True)
class Candidates:
    """Pairs, and what is known of all others: cosine <= row_bound_i and cosine <= col_bound_j."""

    rows: NDArray[np.int32]  # (E,), in no order, maybe repeated
    cols: NDArray[np.int32]
    row_bound: NDArray[np.float64]  # (n_A,)
    col_bound: NDArray[np.float64]  # (n_B,)


def find_candidates(a: Selection, b: Selection, m: int, source: Source) -> Candidates:
    """Return the ``m`` best partners of every row of both sides.

    Args:
        a: n_A rows, 1 or more.
        b: n_B rows, 1 or more.
        m: how many; no more than there are.
        source: "scan": `mutual_topk`. "faiss": FAISS's flat inner-product index, on the rows'
            device.

    Raises:
        ValueError: FAISS is not installed.
    """
    left, right = (side.unit(np.arange(len(side))) for side in (a, b))
    if source == "faiss":
        row_best = _faiss_best(left, right, min(m, len(b)))
        col_best = _faiss_best(right, left, min(m, len(a)))
    else:
        best = mutual_topk(left, right, min(m, len(a), len(b)))
        row_best = best.row_values.cpu().numpy(), best.row_indices.cpu().numpy()
        col_best = best.col_values.cpu().numpy(), best.col_indices.cpu().numpy()
    error = scan_error(a.stored.d_in)
    rows, cols = _edges(row_best[1]), _edges(col_best[1])[::-1]
    return Candidates(
        np.concatenate([rows[0], cols[0]]),
        np.concatenate([rows[1], cols[1]]),
        _bound(row_best[0], len(b), error),
        _bound(col_best[0], len(a), error),
    )


def _edges(partners: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pairs (member, partner) of lists (n, m)."""
    members = np.repeat(np.arange(len(partners), dtype=np.int32), partners.shape[1])
    return members, partners.reshape(-1).astype(np.int32)


def _bound(values: NDArray[np.float32], others: int, error: float) -> NDArray[np.float64]:
    """Return what no unlisted partner's cosine exceeds; -inf where all partners are listed."""
    if values.shape[1] == others:
        return np.full(len(values), -np.inf)
    return values[:, -1].astype(np.float64) + error


def _faiss_best(
    queries: torch.Tensor, base: torch.Tensor, m: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    faiss = _import_faiss(base.is_cuda)
    index: Any = faiss.IndexFlatIP(base.shape[1])
    if base.is_cuda:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), base.device.index, index)
    index.add(base.cpu().numpy())
    values, indices = index.search(queries.cpu().numpy(), m)
    return values, indices


def _import_faiss(on_gpu: bool) -> Any:
    extra = "faiss-gpu" if on_gpu else "faiss-cpu"
    try:
        import faiss
    except ImportError as error:
        raise ValueError(f'candidates="faiss" needs FAISS: pip install twinsae[{extra}]') from error
    if on_gpu and not hasattr(faiss, "StandardGpuResources"):
        raise ValueError(f'candidates="faiss" needs FAISS for GPUs: pip install twinsae[{extra}]')
    return faiss
