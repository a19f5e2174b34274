"""Stores of the same tokens, read in lockstep."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from twinsae.sae.activations import (
    ActivationStore,
    BatchSource,
    StoredBatches,
    StoreWriter,
    open_activations,
)

SIZES = (5, 9, 3)
ORDER = {"shuffle_seed": 1, "epochs": 2}


def write(
    folder: Path, width: int, *sizes: int, ids: str | None = "of text", **facts: Any
) -> ActivationStore:
    """Write a store whose row r holds ``width`` times r + 1."""
    writer = StoreWriter(folder, facts)
    rows = torch.arange(1.0, sum(sizes) + 1)[:, None].expand(-1, width)
    for number, part in enumerate(rows.clone().split(sizes)):
        known = {} if ids is None else {"ids_sha256": f"{ids} {number}"}
        writer.add(number, part.bfloat16() if width % 2 else part, **known)
    return writer.finish()


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, ActivationStore]:
    return {"a": write(tmp_path / "a", 4, *SIZES), "b": write(tmp_path / "b", 7, *SIZES)}


def read(source: BatchSource, size: int, **order: int) -> list[dict[str, Tensor]]:
    return list(source.batches(size, **(ORDER | order)))


@pytest.mark.parametrize("start", [0, 3, 4, 5, 9])
def test_rows_of_all_stores_are_those_of_each_alone(
    pair: dict[str, ActivationStore], start: int
) -> None:
    both = StoredBatches(pair)
    assert (both.widths, both.tokens, both.steps_per_epoch(4)) == ({"a": 4, "b": 7}, 17, 4)
    batches = read(both, 4, start_step=start)
    assert len(batches) == max(8 - start, 0)
    for name, store in pair.items():
        alone = list(store.batches(4, start_step=start, **ORDER))
        for batch, other in zip(batches, alone, strict=True):
            assert torch.equal(batch[name], other)
    for batch in batches:
        assert torch.equal(batch["a"][:, 0], batch["b"][:, 6])


def test_fingerprints(pair: dict[str, ActivationStore]) -> None:
    one, both = StoredBatches({"a": pair["a"]}), StoredBatches(pair)
    assert one.fingerprint == pair["a"].fingerprint == both.fingerprint_of("a")
    assert both.fingerprint_of("b") == pair["b"].fingerprint
    assert len({one.fingerprint, pair["b"].fingerprint, both.fingerprint}) == 3


def test_tokens_far_off_at_one_hookpoint_are_left_out_at_all(tmp_path: Path) -> None:
    stores = {}
    for name, huge in (("a", 2), ("b", 8)):
        x = torch.arange(1.0, 18.0)[:, None].expand(-1, 3).clone()
        x[huge] *= 1000
        writer = StoreWriter(tmp_path / name, {})
        writer.add(0, x)
        stores[name] = writer.finish()
    both = StoredBatches(stores).without_outliers(10)
    assert both.tokens == 15
    assert [store.meta["dropped"] for store in both.stores.values()] == [2, 2]
    (batch,) = read(both, 15, epochs=1)
    expected = [row for row in range(1, 18) if row not in (3, 9)]
    for rows in batch.values():
        assert sorted(rows[:, 0].tolist()) == expected
    with pytest.raises(ValueError, match="a and b cannot be used together: they are of other tok"):
        StoredBatches({name: store.without_outliers(10) for name, store in stores.items()})


@pytest.mark.parametrize(
    ("sizes", "facts", "message"),
    [
        ((5, 9, 2), {}, "they have 17 and 16 rows"),
        ((9, 5, 3), {}, "their files divide the rows differently"),
        (SIZES, {"ids": "other"}, "they are of other tokens"),
        (SIZES, {"skip_first": True}, "only one leaves out the first token"),
    ],
)
def test_stores_of_other_tokens_are_refused(
    tmp_path: Path, sizes: tuple[int, ...], facts: dict[str, Any], message: str
) -> None:
    one = write(tmp_path / "a", 4, *SIZES, skip_first=False)
    other = write(tmp_path / "b", 4, *sizes, **({"skip_first": False} | facts))
    with pytest.raises(ValueError, match=f"activations of a and b cannot be used .*{message}"):
        StoredBatches({"a": one, "b": other})
    with pytest.raises(ValueError, match="stores: at least one is needed"):
        StoredBatches({})


def test_what_does_not_know_its_tokens_goes_with_all_of_as_many_rows(tmp_path: Path) -> None:
    torch.save(torch.ones(17, 2), tmp_path / "mine.pt")
    mine = open_activations(tmp_path / "mine.pt")
    stores = {"mine": mine, "one": write(tmp_path / "a", 4, 17)}
    assert StoredBatches(stores).widths == {"mine": 2, "one": 4}
    kept = {name: store.without_outliers(1e9) for name, store in stores.items()}
    assert StoredBatches(stores | kept).tokens == 17
