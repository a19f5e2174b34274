"""Finds the pairs outside the graph that its prices do not rule out, and what is known of the rest.

Of a pair that is not in the graph only bounds are known, each of the form S_ij <= x_i + y_j: from
the candidate scan, and from every pass made here. A pass at prices u, v with margin d lists all
pairs with S_ij > u_i + v_j - d; once these are in the graph, S_ij <= (u_i - d) + v_j of all others.
The next pass, at other prices, needs only pairs that no bound rules out: with rows and columns in
the order of x - u and y - v these fill a staircase, and few tiles cover it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress
from ...kernels.topk import pack, pairs_above
from .graph import Graph, sorted_graph
from .selection import Selection, edge_cosines, scan_error

_NONE = np.empty(0, dtype=np.int64)
Prices = tuple[NDArray[np.float64], NDArray[np.float64]]
_Ends = tuple[NDArray[np.int64], NDArray[np.int64]]
_Part = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]

_TILE_ROWS, _TILE_COLS = 512, 128
_ROW_BYTES, _COL_BYTES = 2**26, 2**29  # of float32 rows that are scanned together
_PAIRS_AT_ONCE = 2**22
_ROUNDING = 1e-12  # of float64 sums of a few numbers of size 1


@dataclass(frozen=True)
class CosineBound:
    """S_ij <= row_i + col_j for all pairs that are not in the graph."""

    row: NDArray[np.float64]  # (n_A,)
    col: NDArray[np.float64]  # (n_B,)


@dataclass(frozen=True)
class Priced:
    """What a pass found."""

    pairs: Graph
    """Pairs with S_ij > u_i + v_j - delta."""
    delta: float
    complete: bool
    """Whether these are all that the bounds do not rule out."""
    share: float
    """Part of all pairs that the pass looked at."""


@dataclass(frozen=True)
class _Plan:
    """Which tiles to scan: rows and columns in an order, and tiles of places in it."""

    row_order: NDArray[np.int64]
    col_order: NDArray[np.int64]
    room: NDArray[np.float64]  # (blocks of rows, blocks of columns): of their pairs, the most

    def tiles(self, delta: float) -> NDArray[np.int64]:
        """Return the tiles that hold pairs with that little room to their prices, (T, 4)."""
        needed = self.room > -delta - _ROUNDING
        return _tiles(needed, len(self.row_order), len(self.col_order))


class _Found:
    """The pairs that a pass has found: with ever smaller margins if they become too many."""

    def __init__(self, prices: Prices, deltas: Sequence[float], limit: int) -> None:
        self.delta = deltas[0]
        self._prices = prices
        self._smaller = list(deltas[:0:-1])
        self._limit = limit
        # Rows, columns, cosines, and by how much they exceed the prices.
        self._parts: list[_Part] = [(_NONE, _NONE, np.empty(0), np.empty(0))]

    def add(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], cosine: NDArray[np.float64]
    ) -> bool:
        """Take the pairs that are above; return whether there are no more than the limit."""
        excess = cosine - self._prices[0][rows]
        excess -= self._prices[1][cols]
        self._parts.append((rows, cols, cosine, excess))
        self._drop(-1)
        while len(self) > self._limit and self._smaller:
            self.delta = self._smaller.pop()
            for part in range(len(self._parts)):
                self._drop(part)
        return len(self) <= self._limit

    def __len__(self) -> int:
        return sum(len(part[0]) for part in self._parts)

    def graph(self, shape: tuple[int, int]) -> Graph:
        """Return all of them."""
        rows, cols, cosine, _ = (np.concatenate(lists) for lists in zip(*self._parts, strict=True))
        return sorted_graph(shape, rows, cols, cosine)

    def _drop(self, part: int) -> None:
        above = self._parts[part][3] > -self.delta
        rows, cols, cosine, excess = self._parts[part]
        self._parts[part] = rows[above], cols[above], cosine[above], excess[above]


def pricing_memory(num_rows: int, num_cols: int, d_in: int) -> int:
    """Return the bytes that `price` takes on the host, without what it finds."""
    rows, cols = (
        min(4 * d_in * size, most)
        for size, most in ((num_rows, _ROW_BYTES), (num_cols, _COL_BYTES))
    )
    pairs = min(num_rows * num_cols, _PAIRS_AT_ONCE)
    # Float32 copies, the columns' int8 codes, and each pair a few times.
    return rows + 3 * cols // 2 + 64 * pairs + 80 * (num_rows + num_cols)


def price(
    a: Selection,
    b: Selection,
    prices: Prices,
    deltas: Sequence[float],
    bounds: Sequence[CosineBound],
    limit: int,
    progress: Progress,
) -> Priced:
    """List the pairs with S_ij > u_i + v_j - delta that the bounds do not rule out.

    Args:
        a: n_A rows.
        b: n_B rows.
        prices: u (n_A,) and v (n_B,).
        deltas: descending, each 0 or more, or a little less to leave out pairs that are equal but
            for rounding. The pass takes the first, and the next when it has found too many.
        bounds: what is known of the pairs outside the graph. Pairs of the graph may be listed, too.
        limit: how many are too many; with the last delta, the pass ends there, incomplete.
        progress: told of the phase "pricing", in pairs that were looked at.
    """
    plan = min(
        (_plan(prices, bounds, by) for by in bounds), key=lambda p: _area(p.tiles(deltas[0]))
    )
    found, done, complete = _Found(prices, deltas, limit), 0, True
    progress("pricing", 0, _area(plan.tiles(deltas[0])), "pairs")
    for rows, cols, looked_at, left in _scan(a, b, prices, plan, found):
        fits = found.add(rows, cols, edge_cosines(a, b, rows, cols))
        done += looked_at
        complete = fits or not left
        if not complete:
            break
        if left:
            progress("pricing", done, done + left, "pairs")
    if complete and done:
        progress("pricing", done, done, "pairs")
    shape = len(a), len(b)
    return Priced(found.graph(shape), found.delta, complete, done / len(a) / len(b))


def _scan(
    a: Selection, b: Selection, prices: Prices, plan: _Plan, found: _Found
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int, int]]:
    """Yield pairs of the planned tiles that may be above; how many were looked at, and are left."""
    depth = a.stored.d_in
    for cols in spans(range(len(b)), _COL_BYTES // (4 * depth)):
        of_cols = _within(plan.tiles(found.delta), 2, cols)
        if not len(of_cols):
            continue
        col_names = plan.col_order[cols.start : cols.start + of_cols[:, 3].max()]
        packed, col_price = pack(b.unit(col_names)), b.place(prices[1][col_names])
        waiting = list(spans(range(len(a)), _ROW_BYTES // (4 * depth)))[::-1]
        while waiting:
            rows = waiting.pop()
            planned = plan.tiles(found.delta)  # fewer when the margin has fallen
            tiles = _within(_within(planned, 2, cols), 0, rows)
            if not len(tiles):
                continue
            row_names = plan.row_order[rows.start : rows.start + tiles[:, 1].max()]
            pairs = [
                pairs_above(
                    a.unit(row_names, sign),
                    packed,
                    a.place(prices[0][row_names]),
                    col_price,
                    # A score is that close to its cosine, so no pair above is missed.
                    margin=found.delta + scan_error(depth),
                    tiles=a.place(tiles),
                    capacity=max(_PAIRS_AT_ONCE, len(b)),
                    exact=False,  # all are scored in float64 anyway
                )
                for sign in a.signs
            ]
            if any(part.overflow for part in pairs):  # the capacity suffices for a single row
                waiting.extend(list(spans(rows, -(-len(rows) // 2)))[::-1])
                continue
            ends = _each_once(
                [(part.rows.cpu().numpy(), part.cols.cpu().numpy()) for part in pairs]
            )
            yield (
                row_names[ends[0]],
                col_names[ends[1]],
                _area(tiles),
                _area_after(planned, rows, cols),
            )
        del packed  # before the next is made


def _each_once(pairs: Sequence[_Ends]) -> _Ends:
    """Return the pairs of all lists; one that two of them have counts once."""
    if len(pairs) == 1:
        return pairs[0]
    rows, cols = (np.concatenate(side) for side in zip(*pairs, strict=True))
    width = int(cols.max(initial=0)) + 1
    return np.divmod(np.unique(rows * width + cols), width)


def _plan(prices: Prices, bounds: Sequence[CosineBound], by: CosineBound) -> _Plan:
    """Order rows and columns by the room that one bound leaves them, and measure it by all."""
    row_order = np.argsort(prices[0] - by.row, kind="stable")
    col_order = np.argsort(prices[1] - by.col, kind="stable")
    blocks = -(-len(row_order) // _TILE_ROWS), -(-len(col_order) // _TILE_COLS)
    room = np.full(blocks, np.inf)
    for bound in bounds:
        row_room = _block_max((bound.row - prices[0])[row_order], _TILE_ROWS)
        col_room = _block_max((bound.col - prices[1])[col_order], _TILE_COLS)
        np.minimum(room, np.add.outer(row_room, col_room), out=room)
    return _Plan(row_order, col_order, room)


def _block_max(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.maximum.reduceat(values, np.arange(0, len(values), size))
    return largest


def _tiles(needed: NDArray[np.bool_], num_rows: int, num_cols: int) -> NDArray[np.int64]:
    """Return runs of blocks that are needed, (T, 4), one row of blocks after another."""
    edges = np.diff(np.pad(needed, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (block, start), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    tiles = np.stack(
        [block * _TILE_ROWS, (block + 1) * _TILE_ROWS, start * _TILE_COLS, stop * _TILE_COLS],
        axis=1,
    )
    return np.minimum(tiles, [num_rows, num_rows, num_cols, num_cols])


def _area(tiles: NDArray[np.int64]) -> int:
    return int(np.dot(tiles[:, 1] - tiles[:, 0], tiles[:, 3] - tiles[:, 2]))


def _area_after(tiles: NDArray[np.int64], rows: range, cols: range) -> int:
    """Return the area of the tiles below some rows, in some columns, and of those further right."""
    end = int(tiles.max(initial=0))
    below = _within(_within(tiles, 2, cols), 0, range(rows.stop, max(rows.stop, end)))
    return _area(below) + _area(_within(tiles, 2, range(cols.stop, max(cols.stop, end))))


def spans(places: range, size: int) -> Iterator[range]:
    """Cut places in spans of a size, 1 at least."""
    size = max(1, size)
    for start in range(places.start, places.stop, size):
        yield range(start, min(start + size, places.stop))


def _within(tiles: NDArray[np.int64], axis: int, span: range) -> NDArray[np.int64]:
    """Return the parts of the tiles within a span of rows (axis 0) or columns (axis 2), from 0."""
    cut = tiles.copy()
    ends = cut[:, axis : axis + 2]
    np.clip(ends, span.start, span.stop, out=ends)
    ends -= span.start
    return cut[ends[:, 0] < ends[:, 1]]
