import json
import struct
import warnings

import pytest
import safetensors.torch
import torch
from twinsae.sae.formats.tensors import map_file, map_tensors, save_tensors

EVERY_DTYPE = {
    str(dtype): torch.tensor([[0, 1, 3], [2, 0, 1]]).to(dtype)
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    )
}
ODD = {**EVERY_DTYPE, "empty": torch.zeros(0, 4), "scalar": torch.tensor(2.5)}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def raw_file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_what_we_write_the_safetensors_package_reads(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, ODD, {"key": "value"})
    assert_same(safetensors.torch.load_file(path), ODD)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"key": "value"}


def test_what_the_safetensors_package_writes_we_read(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(ODD, path, {"key": "value"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = map_file(path)
    assert_same(found.tensors, ODD)
    assert found.metadata == {"key": "value"}


def test_views_and_transposes_are_written_by_value(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {"view": base[1:3, ::2], "transposed": base.T, "parameter": torch.nn.Parameter(base)}
    save_tensors(tmp_path / "a.safetensors", tensors)
    assert_same(map_tensors(tmp_path / "a.safetensors"), tensors)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    save_tensors(tmp_path / "a", ODD)
    save_tensors(tmp_path / "b", dict(reversed(ODD.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_changing_a_mapped_tensor_does_not_change_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.ones(3)})
    map_tensors(path)["x"].zero_()
    assert torch.equal(map_tensors(path)["x"], torch.ones(3))


def test_a_mapped_tensor_outlives_the_replacement_of_its_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.ones(5000)})
    x = map_tensors(path)["x"]
    save_tensors(path, {"x": torch.zeros(2)})
    assert torch.equal(x, torch.ones(5000))


def test_mapping_reads_only_what_is_touched(tmp_path):
    """A sparse file of 64 GiB: reading it would need more memory than there is."""
    rows = 2**24
    header = {"x": {"dtype": "F32", "shape": [rows, 1024], "data_offsets": [0, rows * 4096]}}
    path = raw_file(tmp_path / "a.safetensors", header)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + rows * 4096)
    x = map_tensors(path)["x"]
    assert x.shape == (rows, 1024)
    assert x[rows - 1, 1023] == 0


def test_a_tensor_at_an_odd_address_is_read(tmp_path):
    header = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 4)  # now the data do not start at a multiple of 4
    path = raw_file(tmp_path / "a.safetensors", text, struct.pack("<2f", 1.5, -2.0))
    assert map_tensors(path)["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("missing", [1, 100, 4000])
def test_a_truncated_file_says_how_many_bytes_are_missing(tmp_path, missing):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.zeros(1000)})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - missing)
    with pytest.raises(ValueError, match=rf"a\.safetensors is truncated: {missing:,} bytes"):
        map_tensors(path)


def test_a_file_cut_within_its_header_is_truncated(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.zeros(1000)})
    with path.open("r+b") as file:
        file.truncate(20)
    with pytest.raises(ValueError, match=r"a\.safetensors is truncated or no safetensors file"):
        map_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes"),
        (b"1234567", "it has 7 bytes"),
        (b"this is not a safetensors file", "truncated or no safetensors file"),
        (struct.pack("<Q", 3) + b"\xff{}", "header is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "not a JSON object"),
        (struct.pack("<Q", 18) + b'{"__metadata__":1}', "not a JSON object"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, content, message):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.safetensors is .*{message}"):
        map_tensors(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "the entry of tensor 'x'"),
        ({"dtype": "F32", "shape": [2]}, "the entry of tensor 'x'"),
        ({"dtype": "F32", "shape": ["a"], "data_offsets": [0, 8]}, "the entry of tensor 'x'"),
        ({"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}, "dtype F8_E4M3"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "needs 12 bytes"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "is corrupt"),
        ({"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}, "is corrupt"),
    ],
)
def test_a_corrupt_entry_is_refused(tmp_path, entry, message):
    path = raw_file(tmp_path / "a.safetensors", {"x": entry}, bytes(8))
    with pytest.raises(ValueError, match=rf"a\.safetensors.*{message}"):
        map_tensors(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        map_tensors(tmp_path / "a.safetensors")


def test_a_dtype_without_a_place_in_the_format_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"tensor 'z': torch\.complex64"):
        save_tensors(tmp_path / "a.safetensors", {"z": torch.zeros(2, dtype=torch.complex64)})
    assert list(tmp_path.iterdir()) == []
