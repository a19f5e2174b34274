"""Tests of the Triton kernels alone, in Triton's interpreter: `make test-triton`.

Processes without the interpreter skip this file, because Triton's functions are made either for the
interpreter or for a GPU when they are imported.
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels.backends import interpreting
from twinsae.kernels.topk import linear_above, linear_topk, mutual_topk, pairs_above

if not interpreting():
    pytest.skip("TRITON_INTERPRET is not 1", allow_module_level=True)

import triton
import triton.language as tl
from twinsae.kernels import launch
from twinsae.kernels.autoencode import topk_autoencode
from twinsae.kernels.autoencode import triton as autoencode
from twinsae.kernels.decode import sparse_decode
from twinsae.kernels.grads import latent_grads
from twinsae.kernels.grads import triton as grads
from twinsae.kernels.topk.triton import (
    above,
    blocks,
    dense,
    linear,
    mutual,
    pairs,
    plan,
    scan,
    select,
    tiles,
)
from twinsae.kernels.topk.triton.rescore import Scores
from twinsae.kernels.topk.triton.scheme import Scheme, choose_scheme
from twinsae.kernels.topk.triton.tiles import INTERPRETED

SCHEME = Scheme(group=16, kept=3)


@pytest.fixture
def scheme(monkeypatch: pytest.MonkeyPatch):
    def force(chosen: Scheme | None) -> None:
        monkeypatch.setattr(plan, "choose_scheme", lambda *_: chosen)

    return force


def check(x, weight, bias, k, oracle, **options) -> int:
    """Compare with a full sort, and return how many rows were not proved."""
    top = linear_topk(x, weight, bias, k, backend="triton", **options)
    mask = options.get("mask")
    values, indices = oracle.topk(
        oracle.scores(x, weight, bias), k, 0.0, None if mask is None else mask.numpy()
    )
    np.testing.assert_array_equal(top.indices.numpy(), indices)
    np.testing.assert_array_equal(top.values.numpy(), values)
    return int(top.stats.rows_redone)


@pytest.mark.parametrize(
    ("best", "dtype", "expected"),
    [(3, torch.float16, 0), (4, torch.float16, 2), (16, torch.float16, 2),
     (2, torch.float32, 0), (3, torch.float32, 2), (16, torch.float32, 2)],
)  # fmt: skip
def test_clustered_winners_are_found_by_the_second_pass(
    oracle: SimpleNamespace, scheme, best: int, dtype: torch.dtype, expected: int
) -> None:
    # The winners of rows 1 and 4 share group 2. Each winner of the other rows has its own group.
    scheme(SCHEME)
    weight = torch.zeros(300, 2)
    weight[32 : 32 + best, 0] = torch.arange(1.0, best + 1)
    weight[5::16, 1] = torch.arange(1.0, 20.0)
    x = torch.zeros(6, 2)
    x[[1, 4], 0], x[[0, 2, 3, 5], 1] = 1.0, 1.0
    # If keys are scores and all 3 kept keys are the 3 best, no other key is among these. Proposals
    # are above their scores, so that the last one kept must be below the best.
    assert check(x.to(dtype), weight.to(dtype), None, best, oracle) == expected


def test_a_row_is_not_proved_while_a_group_may_hold_more_above_the_floor(
    oracle: SimpleNamespace, scheme
) -> None:
    # Only 3 scores are above the floor, and k = 5. No other score is, but nothing proves so.
    scheme(SCHEME)
    weight = torch.full((40, 1), -1.0)
    weight[[3, 4, 5]] = 1.0
    assert check(torch.ones(2, 1), weight, None, 5, oracle) == 2
    weight[5], weight[20] = -1.0, 1.0
    assert check(torch.ones(2, 1), weight, None, 5, oracle) == 0


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch):
    """Let the scans think that a CUDA graph is recorded, which repeats so many rows."""

    def begin(rows: int) -> None:
        for module in (linear, dense, mutual, pairs, autoencode):
            monkeypatch.setattr(module, "capturing", lambda _: True)
        monkeypatch.setattr(dense, "GRAPH_ROWS", rows)

    return begin


@pytest.mark.parametrize("best", [2, 4, 16])
@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_that_are_done_again_are_decoded_again(
    make: SimpleNamespace, scheme, recording, best: int, in_graph: bool
) -> None:
    # As above, and rows must keep their order.
    scheme(SCHEME)
    if in_graph:
        recording(3)
    W_enc, W_dec, b_dec = torch.zeros(300, 2), make.integers(300, 2), make.integers(2)
    W_enc[32 : 32 + best, 0] = torch.arange(1.0, best + 1)
    W_enc[5::16, 1] = torch.arange(1.0, 20.0)
    x = torch.zeros(6, 2)
    x[[1, 4], 0], x[[0, 2, 3, 5], 1] = torch.tensor([1.0, 2.0]), torch.arange(1.0, 5.0)
    found = topk_autoencode(x, W_enc, None, W_dec, b_dec, best, backend="triton")
    assert found.stats.rows_redone == (0 if best == 2 else 2)
    values, indices = torch.relu(x @ W_enc.T).topk(best)  # no ties
    assert torch.equal(found.values, values)
    assert torch.equal(found.indices, indices)
    recon = sparse_decode(values, indices, W_dec, b_dec, backend="reference")
    assert torch.equal(found.recon, recon)
    assert torch.equal(found.squares, (recon - x).square().sum(1))


def test_a_long_row_is_decoded_in_pieces(make: SimpleNamespace, scheme, monkeypatch) -> None:
    scheme(SCHEME)
    monkeypatch.setattr(autoencode, "BLOCK", 32)
    inputs = [make.integers(*shape) for shape in ((8, 70), (60, 70), (60,), (60, 70), (70,))]
    found = topk_autoencode(*inputs, 5, backend="triton")
    exact = topk_autoencode(*inputs, 5, backend="reference")
    for ours, theirs in zip(found[:5], exact[:5], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("chosen", [SCHEME, Scheme(64, 8), Scheme(128, 4), None])
@pytest.mark.parametrize("with_mask", [False, True])
def test_every_route_equals_a_full_sort(
    make: SimpleNamespace, oracle: SimpleNamespace, scheme, chosen, with_mask: bool
) -> None:
    scheme(chosen)
    x, weight, bias = make.integers(37, 70), make.integers(300, 70), make.integers(300)
    check(x, weight, bias, 31, oracle, mask=make.reals(300) > 0 if with_mask else None)


@pytest.mark.parametrize(("k", "share"), [(257, 1.0), (300, 0.3), (600, 0.0)])
def test_large_k_over_the_latents_that_the_mask_leaves(
    make: SimpleNamespace, oracle: SimpleNamespace, k: int, share: float
) -> None:
    x, weight, bias = make.integers(5, 9), make.integers(600, 9), make.integers(600)
    mask = torch.arange(600) % 10 < share * 10
    assert check(x, weight, bias, k, oracle, mask=mask) == 0


def test_rows_with_more_candidates_than_a_program_holds(
    make: SimpleNamespace, oracle: SimpleNamespace, scheme, monkeypatch
) -> None:
    # 282 candidates of a row in 5 chunks; 100 proposals chosen of these in 2 more.
    scheme(SCHEME)
    monkeypatch.setattr(select, "CHUNK", 64)
    x, weight, bias = make.integers(9, 20), make.integers(1500, 20), make.integers(1500)
    assert check(x, weight, bias, 5, oracle) < 9


def test_the_dense_route_works_in_chunks_of_rows(
    make: SimpleNamespace, oracle: SimpleNamespace, scheme, monkeypatch
) -> None:
    scheme(None)
    monkeypatch.setattr(dense, "KEYS_AT_ONCE", 7 * 90 + 1)
    check(make.integers(30, 5), make.integers(90, 5), None, 8, oracle)


@pytest.mark.parametrize("chosen", [SCHEME, None])
@pytest.mark.parametrize("stacks", [1, 2])
def test_blocks_of_any_size_give_equal_bits(
    make: SimpleNamespace, scheme, monkeypatch, chosen, stacks: int
) -> None:
    # Blocks of 32 rows, one stack and 256 latents, in place of one block. Programs may take 64 rows
    # of 3 latents in one and 32 in the other, but a score has the same bits.
    scheme(chosen)
    x, weight, bias = make.integers(70, 6), make.integers(stacks * 600, 6), make.reals(stacks * 600)
    bias = (bias * 8).round() / 8
    whole = linear_topk(x, weight, bias, 5, groups=stacks, backend="triton")
    monkeypatch.setattr(blocks, "BAND", 1)
    monkeypatch.setattr(blocks, "KEYS_AT_ONCE", 1)
    monkeypatch.setattr(dense, "FEW_ROWS", 40)
    monkeypatch.setattr(dense, "KEYS_AT_ONCE", 40 * 256)
    assert blocks.cut(
        Scores(x, weight, stacks=stacks), plan.Plan(INTERPRETED, SCHEME, True), 5
    ) == (blocks.Cut(32, 1, 256))
    parts = linear_topk(x, weight, bias, 5, groups=stacks, backend="triton")
    for ours, theirs in zip(parts[:2], whole[:2], strict=True):
        assert torch.equal(ours, theirs)
    assert [int(n) for n in parts.stats] == [int(n) for n in whole.stats]


@pytest.mark.parametrize(("dim", "described"), [(72, 2), (70, 0)], ids=["whole", "odd"])
def test_descriptors_read_the_same_numbers(
    make: SimpleNamespace, scheme, monkeypatch, dim: int, described: int
) -> None:
    # Rows of 72 float32 are multiples of 16 bytes. Tiles reach past the rows, into the next stack.
    scheme(SCHEME)
    made = []
    real = blocks.TensorDescriptor.from_tensor
    monkeypatch.setattr(
        blocks.TensorDescriptor, "from_tensor", lambda *given: made.append(1) or real(*given)
    )
    x, weight, bias = make.reals(37, dim), make.reals(600, dim), make.reals(600)
    found = []
    for tile in (INTERPRETED, replace(INTERPRETED, described=True)):
        monkeypatch.setattr(plan, "scan_tile", lambda *_, tile=tile, **_options: tile)
        found.append(linear_topk(x, weight, bias, 5, groups=2, backend="triton"))
    assert len(made) == described
    for ours, theirs in zip(found[1][:2], found[0][:2], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("k", [9, 300])
def test_rows_that_are_redone_by_either_selection(
    make: SimpleNamespace, oracle: SimpleNamespace, scheme, k: int
) -> None:
    scheme(None)
    check(make.integers(6, 5), make.integers(5000, 5), None, k, oracle)


@pytest.mark.parametrize("stacks", [1, 2])
def test_a_graph_repeats_a_fixed_number_of_rows_and_marks_the_others(
    make: SimpleNamespace, scheme, recording, stacks: int
) -> None:
    scheme(SCHEME)
    x, weight = make.integers(20, 5), make.integers(stacks * 90, 5)
    mask = make.reals(stacks * 90) > -1
    before = linear_topk(x, weight, None, 20, mask=mask, groups=stacks, backend="triton")
    redone = int(before.stats.rows_redone)
    assert redone > 3 * stacks
    recording(20)
    after = linear_topk(x, weight, None, 20, mask=mask, groups=stacks, backend="triton")
    assert torch.equal(after.values, before.values)
    assert torch.equal(after.indices, before.indices)
    recording(3)
    after = linear_topk(x, weight, None, 20, mask=mask, groups=stacks, backend="triton")
    assert after.stats.rows_redone == redone
    lost = after.values.isnan()
    assert torch.equal(lost.any(-1), lost.all(-1))
    assert int(lost.any(-1).sum()) == redone - 3 * stacks
    assert torch.equal(after.values[~lost], before.values[~lost])
    assert torch.equal(after.indices[~lost], before.indices[~lost])


def test_an_autoencoder_in_a_graph_marks_the_rows_that_it_has_lost(
    make: SimpleNamespace, scheme, recording
) -> None:
    scheme(SCHEME)
    x, W_enc, W_dec = make.integers(20, 5), make.integers(90, 5), make.integers(90, 5)
    before = topk_autoencode(x, W_enc, None, W_dec, None, 20, backend="triton")
    recording(3)
    after = topk_autoencode(x, W_enc, None, W_dec, None, 20, backend="triton")
    lost = after.squares.isnan()
    assert int(lost.sum()) == int(before.stats.rows_redone) - 3 > 0
    for ours, theirs in zip(after[:5], before[:5], strict=True):
        assert torch.equal(ours[~lost], theirs[~lost])
    for marked in (after.recon, after.values):
        assert torch.equal(marked.isnan().all(1), lost)


def test_other_scans_in_a_graph(make: SimpleNamespace, oracle: SimpleNamespace, recording) -> None:
    recording(3)
    x, weight = make.integers(20, 5), make.integers(90, 5)
    near = mutual_topk(x, weight, 2, backend="triton")
    expected = oracle.topk(oracle.scores(x, weight, None), 2, -np.inf)[1]
    np.testing.assert_array_equal(near.row_indices, expected)
    assert [int(count) for count in near.stats] == [0, 0]
    prices = torch.zeros(20).double(), torch.zeros(90).double()
    with pytest.raises(RuntimeError, match=r"^pairs_above: a CUDA graph cannot record it.*$"):
        pairs_above(x, weight, *prices, margin=0.0, capacity=9, backend="triton")


@pytest.mark.parametrize("chosen", [SCHEME, None])
@pytest.mark.parametrize(("rows", "cols", "m"), [(60, 70, 5), (33, 200, 2)])
def test_both_sides_over_blocks_of_rows(
    make: SimpleNamespace,
    oracle: SimpleNamespace,
    monkeypatch,
    chosen,
    rows: int,
    cols: int,
    m: int,
) -> None:
    # Blocks of 16 rows; one group of each side holds clustered winners.
    monkeypatch.setattr(plan, "choose_scheme", lambda *_: chosen)
    monkeypatch.setattr(mutual, "KEYS_AT_ONCE", 1)
    a, b = make.integers(rows, 9), make.integers(cols, 9)
    a[18:27] *= 3
    b[2:9] *= 3
    found = mutual_topk(a, b, m, backend="triton")
    scores = oracle.scores(a, b, None)
    np.testing.assert_array_equal(found.row_indices, oracle.topk(scores, m, -np.inf)[1])
    np.testing.assert_array_equal(found.col_indices, oracle.topk(scores.T, m, -np.inf)[1])
    if m == 5:
        assert (found.stats.rows_redone > 0) == (chosen is not None)


def test_two_runs_have_the_same_bits(make: SimpleNamespace, scheme) -> None:
    scheme(SCHEME)
    x, weight = make.reals(20, 30), make.reals(150, 30)
    values, indices = linear_topk(x, weight, None, 6, backend="triton")[:2]
    again = linear_topk(x, weight, None, 6, backend="triton")
    assert torch.equal(values, again.values)
    first, second = (
        latent_grads(values, values, indices, x, x, 150, backend="triton") for _ in range(2)
    )
    assert all(torch.equal(p, q) for p, q in zip(first, second, strict=True))


def test_an_index_out_of_range_is_left_out_while_a_graph_is_recorded(
    monkeypatch,
) -> None:
    monkeypatch.setattr(launch, "capturing", lambda _: True)
    ones, indices = torch.ones(2, 2), torch.tensor([[0, 1 << 32], [-7, 2]])
    sums = latent_grads(ones, ones, indices, ones, ones, 3, backend="triton")
    assert sums.fired.tolist() == sums.db_enc.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("latents", "k", "expected"),
    [
        (131_072, 32, Scheme(128, 4)), (131_072, 64, Scheme(64, 4)),
        (131_072, 128, Scheme(64, 5)), (131_072, 256, Scheme(128, 8)),
        (32_768, 64, Scheme(64, 5)), (576, 32, None), (1, 1, Scheme(128, 4)),
    ],
)  # fmt: skip
def test_the_scheme_follows_the_odds(latents: int, k: int, expected: Scheme | None) -> None:
    assert choose_scheme(latents, k, widest=128) == expected
    if expected is not None and expected.group > 64:
        assert choose_scheme(latents, k, widest=64) == Scheme(64, expected.kept)


def test_every_gpu_has_a_tile_and_all_tiles_give_equal_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = tiles.HALF_TILES.values()
    assert len({tile.depth for listed in lists for tile in listed}) == 1
    monkeypatch.setattr(tiles, "interpreting", lambda: False)
    for arch in (80, 86, 90, 100, 120):
        monkeypatch.setattr(tiles, "capability", lambda _, arch=arch: arch)
        for op in tiles.HALF_TILES:
            tile = tiles.scan_tile(op, torch.empty(0, 4_096))
            assert tile.described == (arch == 90 and op == "linear_topk")
            assert not tile.archs or arch in tile.archs
            for_all = tiles.HALF_TILES[op][-1]
            narrow = replace(for_all, rows=tiles.ODD_ROWS)
            assert tiles.scan_tile(op, torch.empty(0, 72)) == narrow
            assert tiles.full_tile(op, torch.empty(0, 72, dtype=torch.bfloat16)) == narrow
            assert tiles.full_tile(op, torch.empty(0, 80, dtype=torch.bfloat16)) == for_all


def test_the_odds_bound_those_of_random_rows() -> None:
    generator = np.random.default_rng(0)
    best = generator.integers(64, size=(4000, 16))  # the groups of the 16 best
    failed = np.mean([np.bincount(row).max() >= 3 for row in best])
    odds = Scheme(128, 3).odds(64 * 128, 16)
    assert 0.7 * odds < failed < odds


def test_keys_are_in_the_order_of_scores_then_of_lower_indices() -> None:
    scores = torch.tensor(
        [math.nan, math.inf, 3e38, 1.0, 1e-45, 0.0, -0.0, -1e-45, -1.0, -3e38, -math.inf]
    )
    orders = torch.empty(16, dtype=torch.int32)
    keys = torch.empty(16, dtype=torch.int64)

    @triton.jit
    def take(scores_ptr, orders_ptr, keys_ptr, count, BLOCK: tl.constexpr):
        place = tl.arange(0, BLOCK)
        order = scan.ordered(tl.load(scores_ptr + place, mask=place < count, other=0.0))
        tl.store(orders_ptr + place, order)
        tl.store(keys_ptr + place, scan.key_of(order, place))

    take[(1,)](scores, orders, keys, len(scores), BLOCK=16)
    assert orders[5] == orders[6]
    assert keys[: len(scores)].diff().lt(0).all()
    assert (keys > scan.MISSING).all()
    values, indices = dense.scores_and_indices(keys[: len(scores)])
    assert torch.equal(values.nan_to_num(7.0), scores.nan_to_num(7.0))
    assert indices.tolist() == list(range(len(scores)))


def test_the_places_of_a_latent_keep_their_order() -> None:
    # Sums run in this order: an unstable sort would give other bits in another run.
    indices = torch.randint(-1, 5, (700, 4), generator=torch.Generator().manual_seed(0))
    index = grads._index(indices, None, 5)
    for latent, (start, stop) in enumerate(zip(index.starts, index.stops, strict=True)):
        expected = (indices.flatten() == latent).nonzero().squeeze(1)
        assert torch.equal(index.places[start:stop], expected)


@pytest.mark.parametrize("count", [256, 257, 511, 512, 513])
def test_pieces_of_heavy_latents_fit_their_list(count: int) -> None:
    # The list is fullest if as many latents as possible have just more than a piece.
    indices = torch.arange(7).repeat_interleave(count)[:, None]
    index = grads._index(indices, None, 9)
    pieces = grads._pieces(index)
    covered = torch.zeros(7 * count, dtype=torch.int64)
    for start, stop in zip(pieces.starts.tolist(), pieces.stops.tolist(), strict=True):
        assert stop - start <= grads.PIECE
        covered[start:stop] += 1
    assert (covered == int(count > grads.PIECE)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_list_that_is_too_short_is_made_again(
    make: SimpleNamespace, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = make.integers(20, 4, dtype=dtype), make.integers(90, 4, dtype=dtype)
    expected = linear_above(x, weight, None, -5.0, backend="reference")
    assert len(expected.indices) > 1000
    monkeypatch.setattr(above, "EACH_ROW", 1)
    monkeypatch.setattr(above, "ROOM", 0)
    found = linear_above(x, weight, None, -5.0, backend="triton")
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        assert torch.equal(ours, theirs)
