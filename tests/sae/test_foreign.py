"""Activations that others wrote."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from twinsae.sae.activations import ActivationStore, open_activations
from twinsae.sae.activations.foreign import map_activations


def sort_rows(x: Tensor) -> Tensor:
    return x[x[:, 0].argsort()]


def all_rows(store: ActivationStore) -> Tensor:
    (batch,) = store.batches(store.rows, shuffle_seed=0, epochs=1)
    return sort_rows(batch)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("error")
def test_your_own_npy_file(tmp_path: Path, dtype: type, order: str) -> None:
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(dtype, order=order)
    np.save(tmp_path / "mine.npy", x)
    store = open_activations(tmp_path / "mine.npy")
    assert (store.rows, store.d_in) == (7, 5)
    (batch,) = store.batches(7, shuffle_seed=0, epochs=1)
    assert torch.equal(sort_rows(batch), sort_rows(torch.from_numpy(x).float()))


def test_your_own_safetensors_file(tmp_path: Path) -> None:
    x = torch.randn(6, 4, dtype=torch.float64).bfloat16()
    save_file({"whatever": x}, tmp_path / "mine.safetensors")
    store = open_activations(tmp_path / "mine.safetensors")
    assert (store.rows, store.d_in, store.dtype) == (6, 4, torch.bfloat16)
    (batch,) = store.batches(6, shuffle_seed=0, epochs=1)
    assert torch.equal(sort_rows(batch), sort_rows(x).float())
    before = store.fingerprint
    save_file({"whatever": -x}, tmp_path / "mine.safetensors")
    assert open_activations(tmp_path / "mine.safetensors").fingerprint != before


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.ones(3, np.float32), r"shape \(3,\) of float32"),
        (np.ones((2, 3, 4, 5), np.float32), r"shape \(2, 3, 4, 5\) of float32"),
        (np.ones((2, 3), np.int64), r"shape \(2, 3\) of int64"),
        (np.ones((0, 3), np.float32), r"shape \(0, 3\) of float32"),
        (np.ones((2, 3), ">f4"), "cannot be read as an array of floats"),
        (np.array([[None]]), "cannot be read as an array of floats"),
    ],
)
def test_an_npy_file_of_something_else_is_refused(
    tmp_path: Path, array: np.ndarray, found: str
) -> None:
    np.save(tmp_path / "mine.npy", array)
    with pytest.raises(ValueError, match=rf"mine\.npy.*{found}"):
        open_activations(tmp_path / "mine.npy")


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_a_broken_npy_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.npy cannot be read as an array of floats"):
        open_activations(tmp_path / "mine.npy")


def test_two_tensors_in_your_own_file_are_refused(tmp_path: Path) -> None:
    save_file({"b": torch.ones(2, 2), "a": torch.ones(2, 2)}, tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match=r"expected one array of floats, found 'a' of .*, 'b' of"):
        open_activations(tmp_path / "mine.safetensors")


@pytest.fixture
def x() -> np.ndarray:
    """(4, 3, 5): 12 rows of width 5."""
    return np.random.default_rng(1).standard_normal((4, 3, 5)).astype(np.float32)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_sequences_is_read_as_rows(tmp_path: Path, x: np.ndarray, order: str) -> None:
    np.save(tmp_path / "x.npy", np.asarray(x, order=order))
    store = open_activations(tmp_path / "x.npy")
    assert (store.rows, store.d_in, store.meta["shape"]) == (12, 5, [4, 3, 5])
    assert torch.equal(all_rows(store), sort_rows(torch.from_numpy(x.reshape(12, 5))))


def save_npz(path: Path, x: np.ndarray) -> None:
    np.savez(path, acts=x, tokens=np.zeros(len(x), np.int64), name=np.array("mlp"))


def save_pt(path: Path, x: np.ndarray) -> None:
    torch.save({"acts": torch.from_numpy(x), "tokens": torch.zeros(len(x)).long()}, path)


def save_old_pt(path: Path, x: np.ndarray) -> None:
    torch.save(torch.from_numpy(x), path, _use_new_zipfile_serialization=False)


def save_parameter(path: Path, x: np.ndarray) -> None:
    torch.save(torch.nn.Parameter(torch.from_numpy(x)), path)


def save_safetensors(path: Path, x: np.ndarray) -> None:
    save_file({"a": torch.from_numpy(x), "tokens": torch.zeros(len(x)).int()}, path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_large_npz_stays_on_the_disk(
    tmp_path: Path, save: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(5000, 40)).astype(np.float32)
    save(tmp_path / "x.npz", acts=x)
    monkeypatch.setattr("twinsae.sae.formats.npz.SMALL", 2**16)
    monkeypatch.setattr("twinsae.common.scratch.SMALL", 2**16)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    mapped = map_activations(tmp_path / "x.npz")
    assert np.array_equal(mapped.numpy(), x)
    places = Path("/proc/self/maps").read_text().splitlines()
    assert any(str(tmp_path) in place for place in places)


@pytest.mark.parametrize("shape", [(12, 5), (4, 3, 5)])
@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.npz", save_npz),
        ("x.pt", save_pt),
        ("x.pth", save_old_pt),
        ("x.pt", save_parameter),
        ("x.safetensors", save_safetensors),
    ],
)
def test_the_one_array_of_floats_is_read(
    tmp_path: Path,
    x: np.ndarray,
    name: str,
    save: Callable[[Path, np.ndarray], None],
    shape: tuple[int, ...],
) -> None:
    save(tmp_path / name, x.reshape(shape))
    store = open_activations(tmp_path / name)
    assert (store.rows, store.d_in, store.meta["shape"]) == (12, 5, list(shape))
    assert torch.equal(all_rows(store), sort_rows(torch.from_numpy(x.reshape(12, 5))))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npz", b"PK\x03\x04 is no zip file"),
        ("x.pt", b"nothing"),
        ("x.pt", b""),
        ("x.safetensors", b"nothing"),
        ("x.csv", b"1,2"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as caught:
        open_activations(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_not_executed(tmp_path: Path) -> None:
    torch.save({"acts": torch.ones(2, 3), "path": tmp_path}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt cannot be read as tensors: ") as caught:
        open_activations(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)
    np.savez(tmp_path / "x.npz", acts=np.array([{}]))
    with pytest.raises(ValueError, match=r"x\.npz cannot be read as .npz arrays: it holds Python"):
        open_activations(tmp_path / "x.npz")


def test_a_folder_of_shards(tmp_path: Path, x: np.ndarray) -> None:
    rows = x.reshape(12, 5)
    np.save(tmp_path / "0.npy", rows[:4])
    save_file({"a": torch.from_numpy(rows[4:9])}, tmp_path / "1.safetensors")
    np.save(tmp_path / "2.npy", rows[9:].reshape(1, 3, 5))
    (tmp_path / "readme.txt").write_text("not one of them")
    store = open_activations(tmp_path)
    assert (store.rows, store.d_in) == (12, 5)
    assert torch.equal(all_rows(store), sort_rows(torch.from_numpy(rows)))
    np.save(tmp_path / "3.npy", np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"3\.npy has activations of width 4, .*0\.npy of 5"):
        open_activations(tmp_path)


def cached(x: np.ndarray) -> datasets.Dataset:
    """As SAELens caches them: one sequence a row."""
    features = datasets.Features(
        {
            "blocks.1.hook_mlp_out": datasets.Array2D(x.shape[1:], "float32"),
            "token_ids": datasets.Sequence(datasets.Value("int32")),
        }
    )
    columns = {"blocks.1.hook_mlp_out": list(x), "token_ids": [[0] * x.shape[1]] * len(x)}
    return datasets.Dataset.from_dict(columns, features=features)


def nested(x: np.ndarray) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"acts": x.tolist()})


def vectors(x: np.ndarray) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"acts": x.reshape(12, 5).tolist(), "n": list(range(12))})


def fixed(x: np.ndarray) -> datasets.Dataset:
    features = datasets.Features({"acts": datasets.Sequence(datasets.Value("float32"), length=5)})
    return datasets.Dataset.from_dict({"acts": x.reshape(12, 5).tolist()}, features=features)


@pytest.mark.parametrize("make", [cached, nested, vectors, fixed])
@pytest.mark.parametrize("num_shards", [1, 3])
@pytest.mark.filterwarnings("error:The given NumPy array is not writable")
def test_a_saved_data_set(
    tmp_path: Path, x: np.ndarray, make: Callable[[np.ndarray], datasets.Dataset], num_shards: int
) -> None:
    make(x).save_to_disk(str(tmp_path / "set"), num_shards=num_shards)
    store = open_activations(tmp_path / "set")
    assert (store.rows, store.d_in) == (12, 5)
    assert torch.equal(all_rows(store), sort_rows(torch.from_numpy(x.reshape(12, 5))))
    make(-x).save_to_disk(str(tmp_path / "other"), num_shards=num_shards)
    assert open_activations(tmp_path / "other").fingerprint != store.fingerprint


def test_a_saved_data_set_of_several_batches(tmp_path: Path, x: np.ndarray) -> None:
    datasets.concatenate_datasets([cached(x), cached(x + 10)]).save_to_disk(str(tmp_path / "set"))
    store = open_activations(tmp_path / "set")
    rows = np.concatenate([x, x + 10]).reshape(24, 5)
    assert torch.equal(all_rows(store), sort_rows(torch.from_numpy(rows)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"]}, r"expected one column of vectors of floats, found \['text'\]"),
        ({"a": [[1.0]], "b": [[1.0]]}, r"expected one column .*, found \['a', 'b'\]"),
        ({"a": [[1.0, 2.0], [1.0]]}, "expected vectors of one length"),
        ({"a": [[1.0, None]]}, "expected vectors of one length without empty places"),
        ({"a": [[1.0], None]}, "expected vectors of one length without empty places"),
    ],
)
def test_a_saved_data_set_of_something_else(tmp_path: Path, columns: dict, message: str) -> None:
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=message):
        open_activations(tmp_path / "set")


def test_splits_of_a_saved_data_set_are_named(tmp_path: Path, x: np.ndarray) -> None:
    datasets.DatasetDict({"train": cached(x)}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"data set with the splits \['train'\]; give the folder"):
        open_activations(tmp_path / "set")
    assert open_activations(tmp_path / "set" / "train").rows == 12


def test_a_damaged_data_set_is_one_line(tmp_path: Path, x: np.ndarray) -> None:
    cached(x).save_to_disk(str(tmp_path / "set"))
    (entry,) = json.loads((tmp_path / "set" / "state.json").read_text())["_data_files"]
    (tmp_path / "set" / entry["filename"]).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"\.arrow cannot be read: "):
        open_activations(tmp_path / "set")
