"""Headers alone tell names, dtypes and shapes; no numbers are read, nothing is executed."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from twinsae.sae.formats.headers import read_headers

DATA = Path(__file__).parents[2] / "oracles" / "data"
FILES = [
    path
    for path in sorted(DATA.glob("*/files/**/*"))
    if path.suffix in (".safetensors", ".npz", ".pt", ".pth")
]


class Counted(io.RawIOBase):
    """A file that counts the bytes that are read of it."""

    def __init__(self, path):
        self.file, self.read_bytes = path.open("rb"), 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def readinto(self, buffer):
        count = self.file.readinto(buffer)
        self.read_bytes += count
        return count


def arrays(path):
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    held = torch.load(path, weights_only=True)
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}


def headers(path):
    with path.open("rb") as file:
        return read_headers(file, path.name)


def test_all_public_layouts():
    assert len(FILES) > 100
    for path in FILES:
        found = {name: (h.dtype, h.shape) for name, h in headers(path).items()}
        expected = {
            name: (str(t.dtype).removeprefix("torch."), tuple(t.shape))
            for name, t in arrays(path).items()
        }
        assert found == expected, path


@pytest.fixture
def large():
    """16 MB, in two matrices of unlike dtypes, and a number."""
    return {
        "W": torch.randn(1500, 2000),
        "V": torch.randn(2000, 1000).half(),
        "k": torch.tensor(5),
    }


@pytest.mark.parametrize("kind", ["safetensors", "npz", "compressed npz", "pt", "pt in parts"])
def test_little_is_read(tmp_path, large, kind):
    path = tmp_path / f"a.{kind.split()[-1] if 'npz' in kind else kind.split()[0]}"
    if kind == "safetensors":
        save_file(large, path)
    elif path.suffix == ".npz":
        write = np.savez_compressed if "compressed" in kind else np.savez
        write(path, **{name: tensor.numpy() for name, tensor in large.items()})
    else:
        whole = torch.zeros(2, 1500, 2000)
        torch.save(large | ({"W": whole[1], "U": whole} if "parts" in kind else {}), path)
    counted = Counted(path)
    with io.BufferedReader(counted, 2**15) as file:
        found = read_headers(file, path.name)
    assert found["W"] == ("float32", (1500, 2000))
    assert found["V"] == ("float16", (2000, 1000))
    assert found["k"] == ("int64", ())
    assert counted.read_bytes < 2**18 < path.stat().st_size / 40


class Code:
    def __reduce__(self):
        return exec, ("raise SystemExit('a file ran code')",)


def test_what_is_no_array_file_is_refused(tmp_path):
    torch.save({"W": torch.ones(2), "code": Code()}, tmp_path / "code.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    torch.save({"W": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("a.pt", "a.npz", "a.safetensors", "a.bin"):
        (tmp_path / name).write_bytes(b"nothing of the kind, but of some length")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    for name, told in (
        (
            "code.pt",
            r"^code\.pt cannot be read as a \.pt state dict: it is damaged, or holds Python "
            r"objects \((builtins\.)?exec\), which are never loaded$",
        ),
        ("list.pt", r"^list\.pt must hold a dict of tensors, not list$"),
        ("old.pt", r"^old\.pt is no zip of torch: its sizes are not known before it is read$"),
        ("a.pt", r"^a\.pt is no zip of torch"),
        ("a.npz", r"^a\.npz cannot be read as \.npz arrays: File is not a zip file$"),
        ("a.safetensors", r"^a\.safetensors is truncated or no safetensors file"),
        ("cut.safetensors", r"^cut\.safetensors is no safetensors file: it has 1 bytes, at least"),
        ("a.bin", r"^a\.bin: expected a \.safetensors, \.npz, \.pt or \.pth file$"),
    ):
        with pytest.raises(ValueError, match=told):
            headers(tmp_path / name)
