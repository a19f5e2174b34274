"""What the arrays in a file are called, their dtypes and shapes: only headers are read."""

from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

from .npz import npz_headers
from .pt import pt_headers
from .tensors import dtype_of, read_header


class Header(NamedTuple):
    """What is known of an array before it is read."""

    dtype: str
    """As torch calls it: "float32"."""
    shape: tuple[int, ...]


def read_headers(file: BinaryIO, path: str) -> dict[str, Header]:
    """Return the headers of a .safetensors, .npz, .pt or .pth file by the arrays' names.

    Args:
        file: it can seek.
        path: what it is called; its ending decides how it is read.

    Raises:
        ValueError: the file is damaged or of another kind.
        OSError: it cannot be read.
    """
    suffix = PurePosixPath(path).suffix
    if suffix == ".safetensors":
        return _of_safetensors(file, path)
    if suffix == ".npz":
        arrays = npz_headers(file, path)
        return {name: Header(dtype.name, shape) for name, (shape, dtype) in arrays.items()}
    if suffix in (".pt", ".pth"):
        tensors = pt_headers(file, path)
        return {name: Header(_name(t.dtype), tuple(t.shape)) for name, t in tensors.items()}
    raise ValueError(f"{path}: expected a .safetensors, .npz, .pt or .pth file")


def _of_safetensors(file: BinaryIO, path: str) -> dict[str, Header]:
    header = read_header(file, path)
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        try:
            code, shape = entry["dtype"], tuple(int(size) for size in entry["shape"])
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} is corrupt: the entry of tensor {name!r} is {entry}"
            ) from error
        dtype = dtype_of(code)
        found[name] = Header(str(code) if dtype is None else _name(dtype), shape)
    return found


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
