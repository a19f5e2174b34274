"""Whatever C++ functions are given, a call succeeds or raises, and writes only where it may."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinsae.matching import _native as rows_native
from twinsae.matching.assignment import _native

GUARD = 64  # elements before and after each array
FUZZ = settings(max_examples=250, deadline=None, derandomize=True)
SPECIAL = np.array([0, -0.0, 1, -1, 0.5, 2, 1e300, -1e300, 1e-310, 3, 4, 5])
WRONG = np.array([np.nan, np.inf, -np.inf, 1e301, 1.7e308])
OUTPUTS = {
    *("partner", "row_price", "col_price", "out", "present"),
    *("out_rows", "out_cols", "out_weights"),
}
Arguments = dict[str, Any]


def guarded(contents: np.ndarray) -> np.ndarray:
    outer = np.full(contents.size + 2 * GUARD, 77).astype(contents.dtype)
    inner = outer[GUARD : GUARD + contents.size]
    inner[...] = contents
    return inner


def guards(array: np.ndarray) -> bytes:
    outer = array.base
    return outer[:GUARD].tobytes() + outer[len(outer) - GUARD :].tobytes()


def edges(rng: np.random.Generator, shape: tuple[int, int], full: bool) -> list[np.ndarray]:
    count = int(rng.integers(0, 60)) if min(shape) else 0
    rows, cols = (rng.integers(0, max(size, 1), count) for size in shape)
    if full:
        rows = np.append(rows, np.arange(min(shape)))
        cols = np.append(cols, rng.permutation(min(shape)))
    dtype = rng.choice(np.array([np.int32, np.int64], dtype=object))
    return [guarded(rows.astype(dtype)), guarded(cols.astype(dtype))]


def weighted(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    rows, cols = edges(rng, shape, draw(st.booleans()))
    prices = SPECIAL if draw(st.booleans()) else np.append(SPECIAL, WRONG)
    members, totals = [None, None], (min(shape), max(1, *shape))
    if draw(st.booleans()):
        members = [guarded(rng.integers(1, 4, size)) for size in shape]
        totals = int(members[0].sum()), max(1, int(members[1].sum()))
    return {
        "rows": rows,
        "cols": cols,
        "weights": guarded(rng.choice(SPECIAL, len(rows))),
        "row_members": members[0],
        "col_members": members[1],
        "partner": guarded(rng.integers(0, totals[1], totals[0])),
        "row_price": guarded(rng.choice(prices, shape[0])),
        "col_price": guarded(rng.choice(prices, shape[1])),
    }


def solve(draw: st.DrawFn) -> Arguments:
    return {
        **weighted(draw),
        "warm": draw(st.booleans()),
        "centre": draw(st.booleans()),
        "bid_limit": draw(st.sampled_from((0, 5, 10**6))),
        "threads": draw(st.integers(1, 3)),
    }


def centre_prices(draw: st.DrawFn) -> Arguments:
    return {**weighted(draw), "threads": draw(st.integers(1, 3))}


def maximum_matching(draw: st.DrawFn) -> Arguments:
    call = weighted(draw)
    return {
        **{n: call[n] for n in ("rows", "cols", "row_members", "col_members", "partner")},
        "num_rows": len(call["row_price"]),
        "num_cols": len(call["col_price"]),
    }


def find_edges(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = [rng.integers(0, 9, draw(st.integers(0, 60))).astype(np.int32) for _ in range(2)]
    wanted = rng.integers(0, 9, (2, ends[0].size)).astype(np.int32)
    return {
        "rows": guarded(ends[0]),
        "cols": guarded(np.resize(ends[1], ends[0].size)),
        "wanted_rows": guarded(wanted[0]),
        "wanted_cols": guarded(wanted[1]),
        "threads": draw(st.integers(1, 3)),
        "places": guarded(np.zeros(ends[0].size, np.int64)),
        "present": guarded(np.zeros(ends[0].size, bool)),
    }


def join_edges(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    old, new = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    sizes = {"": old, "added_": new, "out_": old + new}
    lists: Arguments = {}
    for name, size in sizes.items():
        for ends in ("rows", "cols"):
            lists[name + ends] = guarded(rng.integers(0, 9, size).astype(np.int32))
        lists[f"{name}weights"] = guarded(rng.random(size))
    places = np.sort(rng.integers(0, old + 1, new))
    return {**lists, "places": guarded(places), "threads": draw(st.integers(1, 3))}


def solve_dense(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(0, 9))
    cols = rows + draw(st.integers(-1 if rows else 0, 9))
    return {
        "weights": guarded(rng.choice(SPECIAL, rows * cols)).reshape(rows, cols),
        "equal": guarded(np.arange(rows)),
        "partner": guarded(np.zeros(rows, np.int64)),
        "col_price": guarded(np.zeros(cols)),
    }


DTYPES = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.uint16,
    "bfloat16": np.uint16,
}


def stored(rng: np.random.Generator, name: str, count: int, depth: int) -> Arguments:
    dtype = rng.choice(list(DTYPES))
    matrix = guarded(rng.integers(0, 9, count * depth).astype(DTYPES[dtype]))
    return {
        name: matrix.reshape(count, depth),
        f"{name}_dtype": dtype,
        f"{name}_scale": guarded(rng.choice(SPECIAL, count)),
        f"{name}_norm": guarded(rng.choice(SPECIAL, count)),
    }


def edge_cosines(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape, depth = (draw(st.integers(0, 9)), draw(st.integers(0, 9))), draw(st.integers(0, 40))
    rows, cols = (guarded(side.astype(np.int32)) for side in edges(rng, shape, False))
    return {
        **stored(rng, "a", shape[0], depth),
        **stored(rng, "b", shape[1], depth),
        "rows": rows,
        "cols": cols,
        "threads": 2,
        "out": guarded(np.zeros(len(rows))),
    }


def unit_rows(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, depth, chosen = (
        draw(st.integers(1, 9)),
        draw(st.integers(0, 40)),
        draw(st.integers(0, 9)),
    )
    side = stored(rng, "matrix", count, depth)
    return {
        "matrix": side["matrix"],
        **{name: side[f"matrix_{name}"] for name in ("dtype", "scale", "norm")},
        "names": guarded(rng.integers(0, count, chosen)),
        "threads": 2,
        "out": guarded(np.zeros(chosen * depth, np.float32)).reshape(chosen, depth),
    }


def measure_rows(draw: st.DrawFn) -> Arguments:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = stored(rng, "matrix", draw(st.integers(0, 9)), draw(st.integers(0, 40)))
    return {
        "matrix": side["matrix"],
        **{name: side[f"matrix_{name}"] for name in ("dtype", "scale", "norm")},
        "threads": 2,
    }


ENTRIES = (
    solve,
    centre_prices,
    maximum_matching,
    find_edges,
    join_edges,
    solve_dense,
    edge_cosines,
    unit_rows,
    measure_rows,
)
OTHER_OUTPUTS = {find_edges: {"places"}, measure_rows: {"scale", "norm"}}
NUMBERS = (0, -1, 1, 2**30 + 1, 2**31 - 1, 2**62, 2**63 - 1, -(2**63), 2**70, 1.5, "2", None)


def far(array: np.ndarray) -> np.ndarray:
    """Indices that point outside, numbers that are none."""
    wrong = array.copy()
    if wrong.size and wrong.dtype.kind == "f":
        with np.errstate(over="ignore"):
            wrong[-1] = WRONG[wrong.size % 5]
    elif wrong.dtype.kind in "iu" and wrong.size:
        info = np.iinfo(wrong.dtype)
        wrong[-1] = (info.max, info.min, 9, info.min // 2)[wrong.size % 4]
    return wrong


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def misaligned(array: np.ndarray) -> np.ndarray:
    return np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)


SPOILERS: tuple[Callable[[np.ndarray], object], ...] = (
    lambda _: None,
    lambda array: np.ones(array.shape, np.float32),
    lambda array: np.zeros(array.shape, np.int32 if array.dtype == np.int64 else np.int64),
    lambda array: array.astype(array.dtype.newbyteorder()),
    lambda array: array[::-1],
    lambda array: array[::2],
    lambda array: np.broadcast_to(array[:1], array.shape) if array.size else array,
    read_only,
    misaligned,
    far,
    lambda array: np.append(array, array[:1]),
    lambda array: array[1:],  # short: the call would run into the guards
    lambda array: array[:0],
    lambda array: array[None],
    lambda array: array.tolist(),
    lambda _: "not an array",
)


def spoilt_ways(value: object) -> list[object]:
    if isinstance(value, np.ndarray):
        return [spoil(value) for spoil in SPOILERS]
    return list(NUMBERS)


def succeeds(entry: Callable, arguments: Arguments) -> bool:
    """Call the entry point; anything but success or a user's error is raised."""
    try:
        module = rows_native if entry in (edge_cosines, unit_rows, measure_rows) else _native
        getattr(module, entry.__name__)(**arguments)
    except (ValueError, TypeError):
        return False
    return True


@st.composite
def calls(draw: st.DrawFn, entry: Callable[..., Arguments], spoilt: int) -> Any:
    """Return good arguments, and the same except for at most `spoilt` of them."""
    good = entry(draw)
    names = draw(st.sets(st.sampled_from(sorted(good)), max_size=spoilt))
    return good, good | {name: draw(st.sampled_from(spoilt_ways(good[name]))) for name in names}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_a_call_succeeds_or_raises_and_writes_only_its_outputs(entry: Callable) -> None:
    outcomes = {True: 0, False: 0}

    @settings(FUZZ, max_examples=600)
    @given(calls(entry, 2))
    def fuzz(call: tuple[Arguments, Arguments]) -> None:
        good, arguments = call
        arrays = {name: value for name, value in good.items() if isinstance(value, np.ndarray)}
        outputs = OUTPUTS | OTHER_OUTPUTS.get(entry, set())
        inputs = {name: value.tobytes() for name, value in arrays.items() if name not in outputs}
        ends = {name: guards(value) for name, value in arrays.items()}
        outcomes[succeeds(entry, arguments)] += 1
        for name, value in arrays.items():
            assert guards(value) == ends[name]
            assert name in outputs or value.tobytes() == inputs[name]

    fuzz()
    assert min(outcomes.values()) > 50  # both happen, or this tests little


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_each_argument_may_be_wrong_in_each_way(entry: Callable) -> None:
    @settings(FUZZ, max_examples=25)
    @given(calls(entry, 0))
    def fuzz(call: tuple[Arguments, Arguments]) -> None:
        good, _ = call
        for name, value in good.items():
            for wrong in spoilt_ways(value):
                succeeds(entry, good | {name: wrong})

    fuzz()


def test_a_start_from_prices_that_are_no_numbers_is_no_catastrophe() -> None:
    """Python refuses them; C++ must end, with a matching, even so."""
    for wrong in WRONG:
        partner, price = np.empty(2, np.int64), np.full(2, wrong)
        edge = np.arange(2)
        graph = edge, edge, np.ones(2), None, None
        assert _native.solve(*graph, True, True, 10, 1, partner, price.copy(), price)[0] == 0
        assert partner.tolist() == [0, 1]
        assert price.tolist() == [0, 0] or np.isfinite(price).all()
