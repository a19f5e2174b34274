import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from twinsae.sae.activations import ActivationStore, StoreWriter, Tokens, open_activations
from twinsae.sae.activations.shuffle import shuffled_rows

WriteStore = Callable[..., tuple[ActivationStore, Tensor]]


@pytest.fixture
def write_store(tmp_path: Path) -> WriteStore:
    """Write shards of the sizes given; row r of the store holds r, r + 0.25, r + 0.5."""

    def write(*sizes: int, dtype: torch.dtype = torch.float32) -> tuple[ActivationStore, Tensor]:
        rows = torch.arange(sum(sizes), dtype=torch.float32)
        x = (rows[:, None] + torch.tensor([0.0, 0.25, 0.5])).to(dtype)
        writer = StoreWriter(tmp_path / "store", {"hookpoint": "layers.0.mlp"})
        for number, shard in enumerate(x.split(sizes)):
            writer.add(number, shard, note=number)
        return writer.finish(text_ended=False), x

    return write


def read_rows(store: ActivationStore, batch_size: int, **order: int) -> list[list[int]]:
    """Return the row numbers in each batch, told from the first column."""
    return [batch[:, 0].long().tolist() for batch in store.batches(batch_size, **order)]


def sort_rows(x: Tensor) -> Tensor:
    return x[x[:, 0].argsort()]


def test_a_store_is_described_and_read_back(write_store: WriteStore, tmp_path: Path) -> None:
    store, x = write_store(5, 3, dtype=torch.bfloat16)
    assert (store.rows, store.d_in, store.dtype) == (8, 3, torch.bfloat16)
    assert store.meta["hookpoint"] == "layers.0.mlp"
    assert (store.meta["rows"], store.meta["complete"]) == (8, True)
    assert [shard["note"] for shard in store.meta["shards"]] == [0, 1]
    shards = [load_file(tmp_path / "store" / f"shard_0000{i}.safetensors") for i in range(2)]
    assert torch.equal(torch.cat([shard["activations"] for shard in shards]), x)
    assert sorted(file.name for file in (tmp_path / "store").iterdir()) == [
        "meta.json",
        "shard_00000.safetensors",
        "shard_00001.safetensors",
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_batches_hold_every_row_once_an_epoch(write_store: WriteStore, dtype: torch.dtype) -> None:
    store, x = write_store(5, 1, 6, dtype=dtype)
    batches = list(store.batches(3, shuffle_seed=0, epochs=2))
    assert [batch.shape for batch in batches] == [(3, 3)] * 8
    assert {batch.dtype for batch in batches} == {torch.float32}
    for epoch in (batches[:4], batches[4:]):
        assert torch.equal(sort_rows(torch.cat(epoch)), x.float())


@pytest.mark.parametrize("batch_size", [1, 4, 12, 99])
@pytest.mark.parametrize("stop", [None, 0, 7, 12])
def test_rows_in_order_are_all_there(
    write_store: WriteStore, batch_size: int, stop: int | None
) -> None:
    store, x = write_store(5, 1, 6, dtype=torch.bfloat16)
    batches = list(store.in_order(batch_size, stop))
    assert torch.equal(torch.cat([*batches, torch.empty(0, 3)]), x[:stop].float())
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_the_rest_of_an_epoch_is_left_out(write_store: WriteStore) -> None:
    store, _ = write_store(5, 6)
    assert store.steps_per_epoch(4) == 2
    batches = read_rows(store, 4, shuffle_seed=3, epochs=3)
    assert [len(batch) for batch in batches] == [4] * 6
    for epoch in range(3):
        assert len({*batches[2 * epoch], *batches[2 * epoch + 1]}) == 8


def test_the_order_depends_on_seed_and_epoch(write_store: WriteStore) -> None:
    store, _ = write_store(50, 50)
    first, second = (read_rows(store, 100, shuffle_seed=seed, epochs=2) for seed in (0, 1))
    assert first == read_rows(store, 100, shuffle_seed=0, epochs=2)
    orders = [*first, *second, list(range(100))]
    assert len({tuple(order) for order in orders}) == 5


@pytest.mark.parametrize("start_step", [0, 1, 4, 5, 6, 14, 15, 99])
def test_a_late_start_gives_the_same_batches(write_store: WriteStore, start_step: int) -> None:
    store, _ = write_store(4, 9, 4)
    order = {"shuffle_seed": 7, "epochs": 3}
    late = read_rows(store, 3, start_step=start_step, **order)
    assert late == read_rows(store, 3, **order)[start_step:]


def test_a_late_start_reads_nothing_before_it(write_store: WriteStore, tmp_path: Path) -> None:
    store, _ = write_store(4, 4)
    for file in (tmp_path / "store").glob("shard*"):
        file.unlink()
    assert list(store.batches(4, shuffle_seed=0, start_step=2, epochs=1)) == []


@pytest.mark.parametrize("batch_size", [0, -1, 9])
def test_a_batch_that_does_not_fit_is_refused_at_once(
    write_store: WriteStore, batch_size: int
) -> None:
    store, _ = write_store(4, 4)
    with pytest.raises(ValueError, match="batch_size must be between 1 and the 8 activations"):
        store.batches(batch_size, shuffle_seed=0, epochs=1)


def test_shards_are_shuffled_in_groups_that_fit() -> None:
    starts = np.array([0, 4, 8, 12, 30, 31])
    groups = list(shuffled_rows(starts, seed=0, epoch=0, group_rows=10))
    assert sorted(np.concatenate(groups)) == list(range(31))
    shards = [set(np.searchsorted(starts, group, side="right") - 1) for group in groups]
    for group, members in zip(groups, shards, strict=True):
        assert len(group) <= 10 or members == {3}
        assert len(group) == sum(np.diff(starts)[list(members)])
    # Two neighbours among the permuted shards could never have shared a group.
    for group, after in pairwise(groups):
        assert len(group) + len(after) > 10
    orders = {
        tuple(np.concatenate(list(shuffled_rows(starts, seed=0, epoch=e, group_rows=1))))
        for e in range(5)
    }
    assert len(orders) == 5


def test_the_fingerprint_is_of_the_data(write_store: WriteStore, tmp_path: Path) -> None:
    store, x = write_store(4, 4)
    again = open_activations(tmp_path / "store")
    assert again.fingerprint == store.fingerprint
    other = StoreWriter(tmp_path / "other", {})
    other.add(0, x[:4])
    other.add(1, x[4:] + 1)
    assert other.finish().fingerprint != store.fingerprint


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [flip_a_byte, lambda path: path.write_bytes(path.read_bytes()[:-7])]
)
def test_a_damaged_shard_is_named_and_others_stay(
    write_store: WriteStore, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_store(4, 4)
    damage(tmp_path / "store" / "shard_00001.safetensors")
    store = open_activations(tmp_path / "store")
    message = r"shard_00001\.safetensors is damaged .* delete this file and harvest again"
    with pytest.raises(ValueError, match=message):
        list(store.batches(8, shuffle_seed=0, epochs=1))
    assert (tmp_path / "store" / "shard_00001.safetensors").exists()


def test_a_missing_shard_is_named(write_store: WriteStore, tmp_path: Path) -> None:
    write_store(4, 4)
    (tmp_path / "store" / "shard_00000.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"shard_00000\.safetensors is gone; harvest again"):
        open_activations(tmp_path / "store")


def test_a_missing_shard_can_be_written_again(write_store: WriteStore, tmp_path: Path) -> None:
    store, x = write_store(4, 3, 2)
    (tmp_path / "store" / "shard_00001.safetensors").unlink()
    writer = StoreWriter(tmp_path / "store", {})
    assert sorted(writer.shards) == [0, 2]
    writer.add(1, x[4:7], note=1)
    again = writer.finish()
    assert again.fingerprint == store.fingerprint
    assert again.meta == store.meta


def test_a_gap_is_named(write_store: WriteStore, tmp_path: Path) -> None:
    _, x = write_store(4, 3)
    (tmp_path / "store" / "shard_00001.safetensors").unlink()
    with pytest.raises(ValueError, match=r"shard_00001\.safetensors is missing"):
        StoreWriter(tmp_path / "store", {}).finish()
    other = StoreWriter(tmp_path / "other", {})
    other.add(1, x)
    with pytest.raises(ValueError, match=r"shard_00000\.safetensors is missing"):
        other.finish()


@pytest.mark.parametrize("other", [torch.ones(3, 3), torch.ones(3, 2).half()])
def test_shards_of_another_width_or_dtype_are_refused(tmp_path: Path, other: Tensor) -> None:
    writer = StoreWriter(tmp_path, {})
    writer.add(0, torch.ones(3, 2))
    writer.add(1, other)
    with pytest.raises(ValueError, match="the shards are of different widths or dtypes"):
        writer.finish()


def test_two_writers_fill_one_store(tmp_path: Path) -> None:
    x = torch.arange(24.0).reshape(12, 2)
    whole = StoreWriter(tmp_path / "whole", {"hookpoint": "h.1"})
    one, two = (StoreWriter(tmp_path / "both", {"hookpoint": name}) for name in ("h.1", "h.2"))
    assert two.facts["hookpoint"] == "h.1"
    for number, part in enumerate(x.split(4)):
        whole.add(number, part)
        (two, one, two)[number].add(number, part)
        assert one.has(number)
        assert two.has(number)
    assert not one.has(3)
    whole.finish(text_ended=True)
    first, second = (writer.finish(text_ended=True) for writer in (one, two))
    assert first.meta == second.meta
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "both" / file.name).read_bytes()
    assert len(list((tmp_path / "both").iterdir())) == 4


def test_an_incomplete_store_is_refused(tmp_path: Path) -> None:
    StoreWriter(tmp_path, {}).add(0, torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"are incomplete \(3 written so far\); harvest again"):
        open_activations(tmp_path)


def test_a_shard_that_cannot_be_written_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, {})
    writer.add(0, torch.ones(3, 2))
    (tmp_path / "shard_00001.safetensors").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*shard_00001\.safetensors"):
        writer.add(1, torch.ones(3, 2))
    (tmp_path / "shard_00001.safetensors").rmdir()
    assert list(StoreWriter(tmp_path, {}).shards) == [0]
    assert writer.finish().rows == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "corrupt: not JSON"), ('{"format": "x"}', "format 'twinsae-activations/2'"), ("[]", "")],
)
def test_a_wrong_description_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(ValueError, match=rf"meta\.json.*{message}"):
        open_activations(tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npy: there is no such folder or file"):
        open_activations(tmp_path / "none.npy")
    with pytest.raises(FileNotFoundError, match=r"no meta\.json in this folder"):
        open_activations(tmp_path)
    StoreWriter(tmp_path / "h.1", {}).add(0, torch.ones(3, 2))
    with pytest.raises(FileNotFoundError, match=r"it has stores in h\.1: give one"):
        open_activations(tmp_path)


SEQUENCES = torch.tensor([[7, 8, 9], [5, 6, -1]], dtype=torch.int32)


@pytest.fixture
def with_tokens(tmp_path: Path) -> ActivationStore:
    """Two shards of the same two sequences; of the first, position 0 is left out."""
    writer = StoreWriter(tmp_path / "tokens", {})
    sequence = torch.tensor([0, 0, 1, 1], dtype=torch.int32)
    position = torch.tensor([1, 2, 0, 1], dtype=torch.int32)
    for number in range(2):
        tokens = Tokens((SEQUENCES + 10 * number * (SEQUENCES > 0)).int(), sequence, position)
        rows = torch.arange(4.0)[:, None] + 4 * number + 1
        writer.add(number, rows.expand(4, 2).clone(), tokens)
    return writer.finish()


def test_tokens_are_kept_beside_the_activations(with_tokens: ActivationStore) -> None:
    shard = load_file(with_tokens.path / "shard_00001.safetensors")
    assert {name: tensor.dtype for name, tensor in shard.items()} == {
        "activations": torch.float32,
        "sequences": torch.int32,
        "sequence": torch.int32,
        "position": torch.int32,
    }
    found = [with_tokens.context_of(row) for row in range(8)]
    ids = [context.token_ids.tolist() for context in found]
    assert ids == [[7, 8, 9]] * 2 + [[5, 6]] * 2 + [[17, 18, 19]] * 2 + [[15, 16]] * 2
    tokens = [int(context.token_ids[context.position]) for context in found]
    assert tokens == [8, 9, 5, 6, 18, 19, 15, 16]
    for row in (-1, 8):
        with pytest.raises(IndexError, match=f"no row {row}, only 8 rows"):
            with_tokens.context_of(row)


def test_tokens_are_checked_with_their_shard(with_tokens: ActivationStore) -> None:
    path = with_tokens.path / "shard_00000.safetensors"
    ids = load_file(path)
    ids["sequences"][0, 1] += 1
    save_file(ids, path)
    with pytest.raises(ValueError, match=r"shard_00000\.safetensors is damaged"):
        open_activations(with_tokens.path).context_of(0)


def test_a_store_of_the_first_format_is_read_without_tokens(
    write_store: WriteStore, tmp_path: Path
) -> None:
    _, x = write_store(5, 3)
    meta = json.loads((tmp_path / "store" / "meta.json").read_text())
    del meta["norms"]
    old = json.dumps(meta | {"format": "twinsae-activations/1"})
    (tmp_path / "store" / "meta.json").write_text(old)
    store = open_activations(tmp_path / "store")
    (batch,) = store.batches(8, shuffle_seed=0, epochs=1)
    assert torch.equal(sort_rows(batch), x)
    assert store.norm_spread["max"] == pytest.approx(x.norm(dim=1).max().item())
    with pytest.raises(ValueError, match="without their tokens"):
        store.context_of(0)
    with pytest.raises(ValueError, match="begun by an older version"):
        StoreWriter(tmp_path / "store", {})


@pytest.fixture
def x_with_outliers() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((1001, 6)).astype(np.float32)
    x[::100] *= 500
    return x


def test_the_spread_of_norms(x_with_outliers: np.ndarray, tmp_path: Path) -> None:
    x = x_with_outliers
    writer = StoreWriter(tmp_path / "store", {})
    writer.add(0, torch.from_numpy(x[:300]))
    writer.add(1, torch.from_numpy(x[300:]))
    writer.finish()
    norms = np.sort(np.sqrt((x.astype(np.float64) ** 2).sum(axis=1)))
    expected = {"min": norms[0], "median": norms[500], "p99.9": norms[999], "max": norms[1000]}
    meta = json.loads((tmp_path / "store" / "meta.json").read_text())
    assert meta["norms"] == pytest.approx(expected)
    np.save(tmp_path / "x.npy", x)
    assert open_activations(tmp_path / "x.npy").norm_spread == pytest.approx(expected)


def test_outliers_are_left_out(x_with_outliers: np.ndarray, tmp_path: Path) -> None:
    x = x_with_outliers
    writer = StoreWriter(tmp_path / "store", {})
    for number, part in enumerate(np.split(x, [300, 301])):  # of row 300, an outlier, none is left
        writer.add(number, torch.from_numpy(part))
    store = writer.finish()
    norms = np.linalg.norm(x.astype(np.float64), axis=1)
    kept = x[norms <= 10 * np.median(norms)]
    assert len(kept) == 990
    within = store.without_outliers(10)
    assert (within.rows, within.meta["dropped"], within.meta["max_norm"]) == (990, 11, 10)
    assert within.meta["norms"]["max"] < 10 * within.meta["norms"]["median"]
    (batch,) = within.batches(990, shuffle_seed=0, epochs=1)
    expected = torch.from_numpy(kept)
    assert torch.equal(sort_rows(batch), sort_rows(expected))
    prints = {store.without_outliers(limit).fingerprint for limit in (5, 10, 1e9)}
    assert within.fingerprint in prints
    assert 2 <= len(prints | {store.fingerprint}) <= 4
    assert store.without_outliers(1e9).rows == 1001
    with pytest.raises(ValueError, match=r"max_norm must be at least 1, got 0\.5"):
        store.without_outliers(0.5)


def test_outliers_do_not_move_the_tokens(with_tokens: ActivationStore) -> None:
    lengths = with_tokens.norms  # 1 to 8, times a constant
    within = with_tokens.without_outliers(1)
    assert within.rows == 4
    assert lengths.tolist() == pytest.approx([2**0.5 * n for n in range(1, 9)])
    for row in range(4):
        assert within.context_of(row).position == with_tokens.context_of(row).position
    chosen = with_tokens.without_outliers(1.4)  # up to 6.3
    assert chosen.rows == 6
    assert chosen.context_of(5).token_ids.tolist() == [17, 18, 19]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_refused_by_row(tmp_path: Path, value: float) -> None:
    x = np.ones((7, 5), np.float32)
    x[4, 2] = value
    np.save(tmp_path / "mine.npy", x)
    store = open_activations(tmp_path / "mine.npy")
    with pytest.raises(ValueError, match=r"mine\.npy: activation 4 is not finite"):
        list(store.batches(7, shuffle_seed=0, epochs=1))


def test_large_finite_activations_are_fine(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.full((4, 4), 3e38, np.float32))  # their sum overflows
    (batch,) = open_activations(tmp_path / "mine.npy").batches(4, shuffle_seed=0, epochs=1)
    assert (batch == 3e38).all()
