"""Random calls of the C++ functions: each succeeds or raises, and writes only to its outputs."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

if find_spec("hypothesis") is None:
    pytest.skip("hypothesis is not installed", allow_module_level=True)

from hypothesis import given, settings
from hypothesis import strategies as st
from twinsae.kernels import _native

GUARD = 64  # elements before and after each array
SPECIAL = np.array(
    [0, -0.0, 1, -1, 0.5, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 2, 3], np.float32
)
FUZZ = settings(max_examples=250, deadline=None, derandomize=True)
draws = st.integers(0, 2**32 - 1)
Arguments = dict[str, Any]


class Memory:
    """Arrays of random numbers, each in the middle of a larger array of guards."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._outer: list[tuple[np.ndarray, np.ndarray, bool]] = []

    def floats(self, *shape: int, writes: bool = False) -> np.ndarray:
        return self._place(self._rng.choice(SPECIAL, shape), writes)

    def ints(self, *shape: int, high: int = 1, writes: bool = False) -> np.ndarray:
        return self._place(self._rng.integers(-1, max(high, 0), shape), writes)

    def doubles(self, *shape: int) -> np.ndarray:
        return self._place(self._rng.choice(SPECIAL, shape).astype(np.float64), False)

    def offsets(self, rows: int, places: int) -> np.ndarray:
        inner = np.sort(self._rng.integers(0, places + 1, max(rows - 1, 0)))
        ends = [0] if rows == 0 else [0, *inner, places]
        return self._place(np.array(ends, np.int64), False)

    def blocks(self, count: int, rows: int, cols: int) -> np.ndarray:
        ends = (np.sort(self._rng.integers(0, high + 1, (count, 2))) for high in (rows, cols))
        return self._place(np.concatenate(list(ends), axis=1), False)

    def codes(self, *shape: int, writes: bool = False) -> np.ndarray:
        return self._place(self._rng.integers(-127, 128, shape).astype(np.int8), writes)

    def halves(self, *shape: int) -> np.ndarray:
        return self._place(self._rng.integers(0, 2**16, shape).astype(np.uint16), True)

    def bools(self, *shape: int) -> np.ndarray:
        return self._place(self._rng.integers(0, 2, shape).astype(bool), False)

    def check(self) -> None:
        """Check that the guards, and the arrays that are only read, have not changed."""
        for outer, before, writes in self._outer:
            ends = (slice(GUARD), slice(len(outer) - GUARD, None))
            for part in ends if writes else (slice(None),):
                assert outer[part].tobytes() == before[part].tobytes()

    def _place(self, contents: np.ndarray, writes: bool) -> np.ndarray:
        outer = np.full(contents.size + 2 * GUARD, 77).astype(contents.dtype)
        inner = outer[GUARD : GUARD + contents.size].reshape(contents.shape)
        inner[...] = contents
        self._outer.append((outer, outer.copy(), writes))
        return inner


def panels_of(latents: int) -> int:
    return -(-latents // _native.PANEL)


def linear_topk(draw: st.DrawFn, memory: Memory) -> Arguments:
    rows, depth, groups, each = (draw(st.integers(0, high)) for high in (18, 9, 3, 70))
    latents, k = groups * each, draw(st.integers(0, each))
    from_panels, has_bias, has_mask = (draw(st.booleans()) for _ in range(3))
    return {
        "x": memory.floats(rows, depth),
        "weight": None if from_panels else memory.floats(latents, depth),
        "panels": memory.floats(panels_of(latents), depth, 32) if from_panels else None,
        "bias": memory.floats(latents) if has_bias else None,
        "floor": memory.floats(rows),
        "mask": memory.bools(latents) if has_mask else None,
        "threads": draw(st.integers(1, 3)),
        "values": memory.floats(rows, groups, k, writes=True),
        "indices": memory.ints(rows, groups, k, writes=True),
        "num_latents": latents,
    }


def mutual_topk(draw: st.DrawFn, memory: Memory) -> Arguments:
    a_rows, b_rows, depth = (draw(st.integers(0, high)) for high in (40, 70, 9))
    m, from_panels = draw(st.integers(0, min(a_rows, b_rows))), draw(st.booleans())
    return {
        "a": memory.floats(a_rows, depth),
        "b": None if from_panels else memory.floats(b_rows, depth),
        "panels": memory.floats(panels_of(b_rows), depth, 32) if from_panels else None,
        "row_floor": memory.floats(a_rows),
        "col_floor": memory.floats(b_rows),
        "threads": draw(st.integers(1, 3)),
        "row_values": memory.floats(a_rows, m, writes=True),
        "row_indices": memory.ints(a_rows, m, writes=True),
        "col_values": memory.floats(b_rows, m, writes=True),
        "col_indices": memory.ints(b_rows, m, writes=True),
    }


def pack_panels(draw: st.DrawFn, memory: Memory) -> Arguments:
    latents, depth = draw(st.integers(0, 70)), draw(st.integers(0, 20))
    return {
        "weight": memory.floats(latents, depth),
        "threads": draw(st.integers(1, 3)),
        "panels": memory.floats(panels_of(latents), depth, 32, writes=True),
    }


def packed_codes(draw: st.DrawFn, memory: Memory, latents: int, depth: int) -> Arguments:
    """Random contents. They mean nothing, nor does the result, but nothing else may be touched."""
    if draw(st.booleans()):
        return {"codes": None, "bounds": None}
    return code_arrays(memory, latents, depth, writes=False)


def code_arrays(memory: Memory, latents: int, depth: int, *, writes: bool) -> Arguments:
    planes, quads = _native.codes_planes(depth), _native.codes_quads(depth)
    panels = panels_of(latents)
    return {
        "codes": memory.codes(panels, planes, quads, 32, 4, writes=writes),
        "bounds": memory.floats(panels, _native.BOUNDS_OF_PANEL, writes=writes),
    }


def pack_codes(draw: st.DrawFn, memory: Memory) -> Arguments:
    latents, depth = draw(st.integers(0, 70)), draw(st.integers(0, 70))
    return {
        "weight": memory.floats(latents, depth),
        "threads": draw(st.integers(1, 3)),
        **code_arrays(memory, latents, depth, writes=True),
    }


def linear_topk_codes(draw: st.DrawFn, memory: Memory) -> Arguments:
    arguments = linear_topk(draw, memory)
    latents, depth = arguments.pop("num_latents"), arguments["x"].shape[1]
    del arguments["panels"]
    arguments["weight"] = memory.floats(latents, depth)
    return arguments | packed_codes(draw, memory, latents, depth)


def mutual_topk_codes(draw: st.DrawFn, memory: Memory) -> Arguments:
    arguments = mutual_topk(draw, memory)
    b_rows, depth = len(arguments["col_values"]), arguments["a"].shape[1]
    del arguments["panels"]
    arguments["b"] = memory.floats(b_rows, depth)
    arguments["exact"] = draw(st.booleans())
    return arguments | packed_codes(draw, memory, b_rows, depth)


def pairs_above_codes(draw: st.DrawFn, memory: Memory) -> Arguments:
    a_rows, b_rows, depth = (draw(st.integers(0, high)) for high in (40, 70, 9))
    return {
        "a": memory.floats(a_rows, depth),
        "b": memory.floats(b_rows, depth),
        **packed_codes(draw, memory, b_rows, depth),
        "row_price": memory.doubles(a_rows),
        "col_price": memory.doubles(b_rows),
        "margin": draw(st.sampled_from([0.0, 1.0, -1.0, float("inf"), float("nan")])),
        "tiles": memory.blocks(draw(st.integers(0, 3)), a_rows, b_rows),
        "capacity": draw(st.integers(0, 50)),
        "exact": draw(st.booleans()),
        "threads": draw(st.integers(1, 3)),
    }


def pairs_above(draw: st.DrawFn, memory: Memory) -> Arguments:
    arguments = pairs_above_codes(draw, memory)
    b_rows, depth = arguments["b"].shape
    del arguments["codes"], arguments["bounds"], arguments["exact"]
    panels = memory.floats(panels_of(b_rows), depth, 32) if draw(st.booleans()) else None
    return arguments | {"panels": panels}


def linear_above_codes(draw: st.DrawFn, memory: Memory) -> Arguments:
    rows, depth, latents = (
        draw(st.integers(low, high)) for low, high in ((0, 40), (1, 9), (0, 70))
    )
    return packed_codes(draw, memory, latents, depth) | {
        "x": memory.floats(rows, depth),
        "weight": memory.floats(latents, depth),
        "bias": memory.floats(latents) if draw(st.booleans()) else None,
        "threshold": memory.floats(latents),
        "threads": draw(st.integers(1, 3)),
    }


def linear_above(draw: st.DrawFn, memory: Memory) -> Arguments:
    arguments = linear_above_codes(draw, memory)
    del arguments["codes"], arguments["bounds"]
    latents, depth = arguments["weight"].shape
    panels = None
    if draw(st.booleans()):
        arguments["weight"], panels = None, memory.floats(panels_of(latents), depth, 32)
    return arguments | {"panels": panels}


def sparse_places(
    draw: st.DrawFn, memory: Memory, latents: int | None = None
) -> tuple[Arguments, list[int], int, int]:
    """Return places in compressed rows or not, their shape, how many rows, and the latents."""
    rows, k = (draw(st.integers(0, high)) for high in (20, 6))
    latents = draw(st.integers(0, 70)) if latents is None else latents
    if draw(st.booleans()):
        shape, offsets = [rows, k], None
    else:
        shape, offsets = [rows * k], memory.offsets(rows, rows * k)
    indices = memory.ints(*shape, high=latents)
    return {"indices": indices, "row_offsets": offsets}, shape, rows, latents


def sparse_decode(draw: st.DrawFn, memory: Memory) -> Arguments:
    places, shape, rows, latents = sparse_places(draw, memory)
    depth = draw(st.integers(0, 9))
    return places | {
        "values": memory.floats(*shape),
        "weight": memory.floats(latents, depth),
        "bias": memory.floats(depth) if draw(st.booleans()) else None,
        "threads": draw(st.integers(1, 3)),
        "out": memory.floats(rows, depth, writes=True),
    }


def gather_dot(draw: st.DrawFn, memory: Memory) -> Arguments:
    places, shape, rows, latents = sparse_places(draw, memory)
    depth = draw(st.integers(0, 9))
    return places | {
        "rows": memory.floats(rows, depth),
        "weight": memory.floats(latents, depth),
        "threads": draw(st.integers(1, 3)),
        "out": memory.floats(*shape, writes=True),
    }


def decode_error(draw: st.DrawFn, memory: Memory) -> Arguments:
    shared = sparse_decode(draw, memory)
    g = shared.pop("out")
    return shared | {
        "target": memory.floats(*g.shape),
        "scale": float(draw(st.sampled_from(SPECIAL.tolist()))),
        "squares": memory.floats(len(g), writes=True),
        "g": g,
        "d_values": memory.floats(*shared["values"].shape, writes=True),
    }


def decode_squares(draw: st.DrawFn, memory: Memory) -> Arguments:
    rows, k, latents, depth = (draw(st.integers(0, high)) for high in (20, 6, 70, 9))
    return {
        "values": memory.floats(rows, k),
        "indices": memory.ints(rows, k, high=latents),
        "weight": memory.floats(latents, depth),
        "bias": memory.floats(depth) if draw(st.booleans()) else None,
        "threads": draw(st.integers(1, 3)),
        "out": memory.floats(rows, depth, writes=True),
        "target": memory.floats(rows, depth),
        "centre": memory.floats(depth),
        "squares": memory.floats(rows, writes=True),
        "deviations": memory.floats(rows, writes=True),
    }


def latent_grads(draw: st.DrawFn, memory: Memory) -> Arguments:
    places, shape, rows, latents = sparse_places(draw, memory)
    depth = draw(st.integers(0, 9))
    return places | {
        "values": memory.floats(*shape),
        "d_values": memory.floats(*shape),
        "x": memory.floats(rows, depth),
        "g": memory.floats(rows, depth),
        "accumulate": draw(st.booleans()),
        "threads": draw(st.integers(1, 3)),
        "num_latents": latents,
        "dW_dec": memory.floats(latents, depth, writes=True),
        "dW_enc": memory.floats(latents, depth, writes=True),
        "db_enc": memory.floats(latents, writes=True),
        "fired": memory.ints(latents, writes=True),
    }


def latent_squares(draw: st.DrawFn, memory: Memory) -> Arguments:
    latents, depth = draw(st.integers(0, 300)), draw(st.integers(0, 9))
    terms = []
    for _ in range(draw(st.integers(0, 2))):
        places, shape, rows, _ = sparse_places(draw, memory, latents)
        terms.append((memory.floats(*shape), *places.values(), memory.floats(rows, depth)))
    return {
        "weight": memory.floats(latents, depth),
        "terms": terms,
        "decay": memory.floats(latents) if draw(st.booleans()) else None,
        "unit_rows": draw(st.booleans()),
        "threads": draw(st.integers(1, 3)),
    }


def latent_adam(draw: st.DrawFn, memory: Memory) -> Arguments:
    shared = latent_squares(draw, memory)
    latents, depth = shared["weight"].shape
    halves = draw(st.booleans())

    def matrix() -> np.ndarray:
        if halves:
            return memory.halves(latents, depth)
        return memory.floats(latents, depth, writes=True)

    return shared | {
        "weight": memory.floats(latents, depth, writes=True),
        "exp_avg": matrix(),
        "exp_avg_sq": matrix(),
        "rule": draw(st.lists(st.sampled_from(SPECIAL.tolist()), min_size=7, max_size=7)),
        "key": draw(st.integers(0, 2**32 - 1)) if halves else None,
        "sums": memory.floats(latents, writes=True),
        "weighted": memory.floats(depth, writes=True),
        "fired": memory.ints(latents, writes=True),
    }


CODES = (
    linear_topk_codes,
    mutual_topk_codes,
    pairs_above_codes,
    linear_above_codes,
    pack_codes,
)
ENTRIES = (
    linear_topk, mutual_topk, pairs_above, linear_above, pack_panels, sparse_decode, gather_dot,
    decode_error,
    decode_squares, latent_grads, latent_adam, latent_squares,
    *(CODES if _native.codes_planes(1) else ()),  # on other machines they only raise
)  # fmt: skip
NUMBERS = (0, -1, 1, 4096, 4097, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63), 2**70, 1.5, "2")


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape) if array.size else array


def far_indices(array: np.ndarray) -> np.ndarray:
    """Contents that are out of range if they are indices."""
    wrong = array.astype(array.dtype)
    if wrong.size and wrong.dtype == np.int64:
        wrong.flat[-1] = (wrong.size * 97 + 70, -2, 2**62, -(2**63))[wrong.size % 4]
    return wrong


def bigger(array: np.ndarray) -> np.ndarray:
    return np.ones([size + 1 for size in array.shape], array.dtype)


def narrower(array: np.ndarray) -> np.ndarray:
    shape = (*array.shape[:-1], max(array.shape[-1] - 1, 0))
    return array.reshape(-1)[: np.prod(shape)].reshape(shape)


SPOILERS: tuple[Callable[[np.ndarray], object], ...] = (
    lambda _: None,
    lambda array: array.astype(np.float64),
    lambda array: np.ones(array.shape, np.int32),
    lambda array: array.astype(bool),
    lambda array: array.astype(array.dtype.newbyteorder()),
    lambda array: array.T,
    lambda array: array[::-1],
    lambda array: array[..., ::2],
    lambda array: np.broadcast_to(array[:1], array.shape) if array.size else array,
    read_only,
    misaligned,
    far_indices,
    bigger,
    lambda array: array[1:],  # contiguous, but too short: the call would read guards
    lambda array: array[len(array) // 2 :],
    lambda array: array[:-1],
    narrower,
    lambda array: array.reshape(-1),
    lambda array: array[None],
    lambda array: array[:0],
    lambda array: np.empty((0, 2**40), array.dtype),
    lambda array: np.empty((2**40, 0), array.dtype),
    lambda array: array.tolist(),
    lambda array: array.astype(object),
    lambda _: "not an array",
)


@st.composite
def calls(draw: st.DrawFn, entry: Callable[..., Arguments], spoilt: int) -> Any:
    """Return arguments that fit one another, except at most `spoilt` of them."""
    memory = Memory(draw(draws))
    arguments = entry(draw, memory)
    for name in draw(st.sets(st.sampled_from(sorted(arguments)), max_size=spoilt)):
        arguments[name] = draw(st.sampled_from(spoilt_ways(arguments[name])))
    return memory, arguments


def spoilt_ways(value: object) -> list[object]:
    """Return wrong values that may stand in for an argument."""
    if isinstance(value, np.ndarray):
        return [spoil(value) for spoil in SPOILERS]
    if isinstance(value, int):
        return list(NUMBERS)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        first, *others = value
        wrong = [
            (*first[:place], spoilt, *first[place + 1 :])
            for place, item in enumerate(first)
            for spoilt in spoilt_ways(item)
        ]
        return [[one, *others] for one in (*wrong, first[:-1], 3)]
    return [np.ones((3, 3), np.float32), 1, "x"]


def succeeds(entry: Callable, arguments: Arguments) -> bool:
    """Call the entry point. Any error that is not the user's is raised."""
    try:
        getattr(_native, entry.__name__)(**arguments)
    except (ValueError, TypeError):
        return False
    return True


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_each_argument_may_be_wrong_in_each_way(entry: Callable) -> None:
    @settings(FUZZ, max_examples=12)
    @given(calls(entry, 0))
    def fuzz(call: tuple[Memory, Arguments]) -> None:
        memory, arguments = call
        for name, value in arguments.items():
            for wrong in spoilt_ways(value):
                succeeds(entry, {**arguments, name: wrong})
                memory.check()

    fuzz()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_a_call_succeeds_or_raises_and_writes_only_its_outputs(entry: Callable) -> None:
    outcomes = {True: 0, False: 0}

    @FUZZ
    @given(calls(entry, 3))
    def fuzz(call: tuple[Memory, Arguments]) -> None:
        memory, arguments = call
        outcomes[succeeds(entry, arguments)] += 1
        memory.check()

    fuzz()
    assert min(outcomes.values()) > 20  # else this tests little


@pytest.mark.parametrize("entry", [linear_topk, mutual_topk], ids=lambda entry: entry.__name__)
def test_indices_name_latents_whatever_the_contents(entry: Callable) -> None:
    @FUZZ
    @given(calls(entry, 0))
    def fuzz(call: tuple[Memory, Arguments]) -> None:
        memory, arguments = call
        if not succeeds(entry, arguments):  # k = 0, or nothing to choose from
            return
        memory.check()
        for name in {"indices", "row_indices", "col_indices"} & arguments.keys():
            indices = arguments[name]
            limits = {
                "indices": arguments.get("num_latents", 0) // max(indices.shape[1], 1),
                "row_indices": len(arguments.get("col_indices", ())),
                "col_indices": len(arguments.get("row_indices", ())),
            }
            assert ((indices >= -1) & (indices < limits[name])).all()
            chosen = np.sort(indices.reshape(-1, indices.shape[-1]), axis=1)
            assert not ((np.diff(chosen, axis=1) == 0) & (chosen[:, 1:] >= 0)).any()  # no repeats

    fuzz()


def test_more_of_everything_than_there_is() -> None:
    """Numbers near the limits of int64 in a call whose arrays are all empty."""
    none = np.empty((0, 2**40), np.float32)
    for num_latents in (2**62, 2**63 - 1, -(2**63)):
        with pytest.raises(ValueError, match=r"latents|max_size"):
            _native.latent_grads(
                None, None, np.empty((0, 3), np.int64), None, None, None, True, 1, num_latents,
                None, None, None, None,
            )  # fmt: skip
        with pytest.raises(ValueError, match="latents"):
            _native.linear_topk(
                none, None, np.empty((0, 2**40, 32), np.float32), None, none[:, 0].copy(), None,
                1, np.empty((0, 1, 1), np.float32), np.empty((0, 1, 1), np.int64), num_latents,
            )  # fmt: skip
