"""Safetensors files: read by memory-mapping, written atomically.

The format is at https://huggingface.co/docs/safetensors/index#format: the header's length (8 bytes,
little-endian), a JSON header {name: {dtype, shape, data_offsets}}, then the tensors' bytes. It is
parsed here, rather than by the ``safetensors`` package, so that every dtype is mapped without a
copy, so that a truncated file is recognised before its tensors are used, and so that a full disk
while writing is an OSError.
"""

import json
import math
import mmap
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from ...common.files import StrPath, atomic_write
from ...common.system import map_private

_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 8


class TensorFile(NamedTuple):
    """The content of one safetensors file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, memory-mapped: read from disk when touched.

    Writing to such a tensor changes memory only, never the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, corrupt, or holds a dtype that is not supported.
    """
    return map_file(path).tensors


def map_file(path: Path) -> TensorFile:
    """As `map_tensors`, with the file's metadata (empty where it has none)."""
    with path.open("rb") as file:
        header = read_header(file, path)
        start, size = file.tell(), file.seek(0, os.SEEK_END)
        mapped = map_private(file)  # torch wants memory that can be written to
    metadata = header.pop("__metadata__", {})
    tensors = {
        name: _map_one(path, mapped, name, entry, start, size) for name, entry in header.items()
    }
    return TensorFile(tensors, metadata)


def read_header(file: BinaryIO, path: StrPath) -> dict[str, Any]:
    """Return the header of a safetensors file, and leave the file where the tensors' bytes begin.

    Args:
        file: at its beginning; it can seek.
        path: what it is called, for messages.

    Raises:
        ValueError: the header is truncated or no JSON object.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < _LENGTH.size:
        raise ValueError(f"{path} is no safetensors file: it has {size} bytes, at least 8 expected")
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    end = _LENGTH.size + length
    if end > size:
        raise ValueError(
            f"{path} is truncated or no safetensors file: "
            f"its header ends at byte {end:,} but the file has {size:,}"
        )
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no safetensors file: its header is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError(f"{path} is no safetensors file: its header is not a JSON object")
    return header


def dtype_of(code: object) -> torch.dtype | None:
    """Return the dtype of a header's entry, or None if torch has none of this name."""
    return _DTYPES.get(code) if isinstance(code, str) else None


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write ``tensors`` and text ``metadata`` to a safetensors file, atomically.

    The same content gives the same bytes. Tensors of any device and layout are written as
    contiguous ones.

    Raises:
        OSError: the write failed; the old file, if any, is untouched.
        TypeError: a tensor's dtype has no place in the format.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise TypeError(f"tensor {name!r}: {tensor.dtype} cannot be stored in {path}")
    # Wide elements first, so that every tensor starts at a multiple of its element's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_header([(name, tensors[name]) for name in names], metadata or {}))
        for name in names:
            flat = tensors[name].detach().cpu().contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)


def _map_one(path: Path, mapped: mmap.mmap, name: str, entry: Any, start: int, size: int) -> Tensor:
    try:
        code, shape = entry["dtype"], [int(n) for n in entry["shape"]]
        begin, end = (int(n) for n in entry["data_offsets"])
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is corrupt: the entry of tensor {name!r} is {entry}") from error
    if code not in _DTYPES:
        raise ValueError(f"{path}: tensor {name!r} has dtype {code}, which is not supported")
    dtype = _DTYPES[code]
    expected = math.prod(shape) * dtype.itemsize
    if begin < 0 or min(shape, default=0) < 0 or end - begin != expected:
        raise ValueError(
            f"{path} is corrupt: tensor {name!r} of shape {tuple(shape)} and dtype {code} "
            f"needs {expected:,} bytes, its entry says {end - begin:,}"
        )
    if start + end > size:
        raise ValueError(
            f"{path} is truncated: {start + end - size:,} bytes of tensor {name!r} are missing"
        )
    if expected == 0:
        return torch.empty(shape, dtype=dtype)
    data = torch.frombuffer(mapped, dtype=torch.uint8, count=expected, offset=start + begin)
    if (start + begin) % dtype.itemsize:
        data = data.clone()  # other writers may leave a tensor at an odd address
    return data.view(dtype).reshape(shape)


def _header(tensors: list[tuple[str, Tensor]], metadata: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, tensor in tensors:
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return _LENGTH.pack(len(text)) + text
