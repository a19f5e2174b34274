"""The first graph: for each latent of either side its best partners on the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.packages import missing
from ...common.progress import Progress
from ...kernels.topk import PackedWeight, mutual_topk, pack
from .resume import WorkFolder
from .selection import Selection, scan_error

Source = Literal["scan", "faiss"]
Best = tuple[Tensor, Tensor]  # values (n, m) float32 and partners (n, m) int32, on the host
Scanned = tuple[Tensor, Tensor, Tensor, Tensor]  # both sides' values and partners
Floors = tuple[Tensor, Tensor]  # of rows and of columns: what is no better need not be listed
Scan = Callable[[Tensor, PackedWeight, int, Floors], Scanned]

MOST_CANDIDATES = 1024

# Rows of a block: scanned at once, as float32 copies of length 1. Each block more costs time: its
# lists are scored and merged.
_LEAST_ROWS = 2**15
_ROW_BYTES, _COL_BYTES = 144 * 2**20, 512 * 2**20
_MERGED_ROWS = 2**13


_STATE = "candidates"
_LISTS = ("row_values", "row_partners", "col_values", "col_partners")


@dataclass(frozen=True)
class Lists:
    """The best partners of one side's members, in descending order, and what is known of others."""

    values: Tensor  # (n, m) float32, on the host
    partners: Tensor  # (n, m) int32
    complete: bool  # whether no partner is missing

    def bound(self, d_in: int) -> NDArray[np.float64]:
        """Return what the cosine of no other partner exceeds, (n,); -inf if there are none."""
        if self.complete:
            return np.full(len(self.values), -np.inf)
        return self.values[:, -1].numpy().astype(np.float64) + scan_error(d_in)

    def edges(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the pairs (member, partner), each (n * m,)."""
        members = np.arange(len(self.partners), dtype=np.int32)
        return members.repeat(self.partners.shape[1]), self.partners.numpy().ravel()


def find_candidates(
    a: Selection, b: Selection, m: int, source: Source, work: WorkFolder, progress: Progress
) -> tuple[Lists, Lists]:
    """Return the ``m`` best partners of every row of ``a``, and of every row of ``b``.

    By absolute cosines a partner may stand there twice, once for either sign.

    Args:
        a: n_A rows, 1 or more.
        b: n_B rows, 1 or more.
        m: 1 to `MOST_CANDIDATES`; where either side has fewer, that many.
        source: "scan": `mutual_topk`. "faiss": FAISS's exhaustive search, on the rows' device.
        work: where the lists are kept after each block of columns, and taken from.
        progress: told of the phase "candidates", in pairs.

    Raises:
        ImportError: FAISS is not installed, or not for GPUs, where the rows are on one.
    """
    scan: Scan = _faiss(a.index.is_cuda) if source == "faiss" else _scan
    prepare: Callable[[Tensor], PackedWeight] = pack if source == "scan" else _plain
    m = min(m, len(a), len(b))
    finished, of_rows, of_cols = _load(work) or (0, _empty(len(a), m), _empty(len(b), m))
    blocks = list(_blocks_of_pairs(a, b))
    done, packed = sum(map(_area, blocks[:finished])), None
    progress("candidates", done, len(a) * len(b), "pairs")
    for rows, cols in blocks[finished:]:
        if packed is None:
            packed = prepare(b.unit(np.arange(cols.start, cols.stop)))
        for sign in a.signs:
            # Nothing is held by a name here: two blocks at a time would be too much.
            _merge_block(
                (of_rows, of_cols),
                (rows, cols),
                scan(
                    a.unit(np.arange(rows.start, rows.stop), sign),
                    packed,
                    m,
                    (of_rows[0][rows, -1], of_cols[0][cols, -1]),
                ),
            )
        if rows.stop == len(a):
            packed = None
        finished += 1
        done += _area((rows, cols))
        if finished < len(blocks):
            _save(work, finished, of_rows, of_cols)
        progress("candidates", done, len(a) * len(b), "pairs")
    # With both signs a pair may be listed twice, in place of others.
    once = len(a.signs) == 1
    return Lists(*of_rows, once and m == len(b)), Lists(*of_cols, once and m == len(a))


def candidates_memory(num_rows: int, num_cols: int, d_in: int, m: int) -> int:
    """Return the bytes that `find_candidates` takes on the host."""
    rows, cols = _row_block(num_rows, d_in), _col_block(num_cols, d_in)
    copies = block_copies(num_rows, num_cols, d_in) + 2 * (d_in + 64) * cols  # with int8 codes
    open_rows = max(24, 4 * (torch.get_num_threads() + 1)) * 2**20  # of all threads
    survivors = 12 * (2 * m + 128) * cols + 2 * open_rows  # columns', then rows' and rows' codes
    lists = 8 * m * (num_rows + num_cols) + 12 * m * (rows + cols)  # kept, and of a block
    return copies + survivors + lists


def block_copies(num_rows: int, num_cols: int, d_in: int) -> int:
    """Return the bytes of the float32 copies that are scanned at once, on the rows' device."""
    return 4 * d_in * (_row_block(num_rows, d_in) + _col_block(num_cols, d_in))


def _row_block(num_rows: int, d_in: int) -> int:
    """Return how many rows of ``a`` are scanned at once."""
    return _even(num_rows, max(_LEAST_ROWS, _ROW_BYTES // (4 * d_in)))


def _col_block(num_cols: int, d_in: int) -> int:
    """Return how many rows of ``b`` are scanned at once."""
    return _even(num_cols, max(_LEAST_ROWS, _COL_BYTES // (4 * d_in)))


def _even(size: int, most: int) -> int:
    """Return the size of equal blocks: a last one shorter than m would break the lists."""
    blocks = -(-size // most)
    return -(-size // blocks)


def _blocks_of_pairs(a: Selection, b: Selection) -> Iterator[tuple[slice, slice]]:
    height, width = _row_block(len(a), a.stored.d_in), _col_block(len(b), b.stored.d_in)
    for col in range(0, len(b), width):
        for row in range(0, len(a), height):
            yield slice(row, min(row + height, len(a))), slice(col, min(col + width, len(b)))


def _area(block: tuple[slice, slice]) -> int:
    rows, cols = block
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def _empty(size: int, m: int) -> Best:
    return torch.full((size, m), -torch.inf), torch.zeros((size, m), dtype=torch.int32)


def _merge_block(lists: tuple[Best, Best], block: tuple[slice, slice], found: Scanned) -> None:
    _merge(lists[0], block[0], found[0], found[1] + block[1].start)
    _merge(lists[1], block[1], found[2], found[3] + block[0].start)


def _merge(lists: Best, block: slice, values: Tensor, partners: Tensor) -> None:
    """Put what is best of the lists and of newly found partners in the lists' places."""
    for start in range(0, len(values), _MERGED_ROWS):
        found = slice(start, min(start + _MERGED_ROWS, len(values)))
        place = slice(block.start + found.start, block.start + found.stop)
        both = torch.cat([lists[0][place], values[found].cpu()], dim=1)
        names = torch.cat([lists[1][place], partners[found].to("cpu", torch.int32)], dim=1)
        lists[0][place], order = both.topk(lists[0].shape[1], dim=1)
        lists[1][place] = names.gather(1, order)


def _save(work: WorkFolder, finished: int, of_rows: Best, of_cols: Best) -> None:
    lists = dict(zip(_LISTS, (*of_rows, *of_cols), strict=True))
    work.save(_STATE, {"finished": torch.tensor([finished]), **lists})


def _load(work: WorkFolder) -> tuple[int, Best, Best] | None:
    saved = work.load(_STATE)
    if saved is None:
        return None
    values, partners, col_values, col_partners = (saved[name] for name in _LISTS)
    return int(saved["finished"]), (values, partners), (col_values, col_partners)


def _scan(left: Tensor, right: PackedWeight, m: int, floors: Floors) -> Scanned:
    row_floor, col_floor = (floor.to(left.device) for floor in floors)
    best = mutual_topk(left, right, m, row_floor=row_floor, col_floor=col_floor, exact=False)
    rows, cols = (
        values.masked_fill(indices < 0, -torch.inf) for values, indices in (best[:2], best[2:4])
    )
    return rows, best.row_indices, cols, best.col_indices


def _plain(rows: Tensor) -> PackedWeight:
    return PackedWeight(rows, ())


def _faiss(on_gpu: bool) -> Scan:
    """Return FAISS's search of both sides' best, as `_scan` has it."""
    import faiss

    if on_gpu and not hasattr(faiss, "knn_gpu"):
        raise missing("candidates: faiss", "faiss-gpu-cu12")

    def best(queries: NDArray[np.float32], base: NDArray[np.float32], m: int) -> Any:
        kind = faiss.METRIC_INNER_PRODUCT
        if on_gpu:
            return faiss.knn_gpu(faiss.StandardGpuResources(), queries, base, m, metric=kind)
        return faiss.knn(queries, base, m, metric=kind)

    def search(left: Tensor, right: PackedWeight, m: int, _floors: Floors) -> Scanned:
        sides = left.cpu().numpy(), right.weight.cpu().numpy()
        found = *best(*sides, m), *best(*sides[::-1], m)
        values, indices, col_values, col_indices = (torch.from_numpy(part) for part in found)
        return values, indices, col_values, col_indices

    return search
