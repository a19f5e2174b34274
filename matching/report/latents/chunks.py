"""A chunk: some arrays and some facts in one script that a page may load from disk.

A page that is opened from disk may not fetch files, but it may load scripts. So a chunk is a script
of one call, ``twinsae(NAME, BASE64)``, and what it carries is compressed by gzip:

| bytes | what |
|---|---|
| 4 | the length H of the header, uint32; 4 + H is a multiple of 8 |
| H | the header, JSON in UTF-8, filled up with spaces: ``arrays`` and ``facts`` |
| rest | the arrays in the header's order, each filled up with zeros to a multiple of 8 bytes |

``arrays`` lists ``name``, ``dtype`` and ``shape`` of each; all numbers are little-endian. Base64
has no character that HTML knows, so nothing in a chunk can end the script or be markup.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....common.files import atomic_write

DTYPES = ("float32", "int32", "uint32", "uint16", "uint8")
_CALL = re.compile(r'twinsae\("([a-z0-9/-]+)","([A-Za-z0-9+/=]*)"\)\n')


class Chunk(NamedTuple):
    """What a chunk carries."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


def write_chunk(
    data: Path, name: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> int:
    """Write the chunk ``name`` as ``data/NAME.js``, atomically, and return its size in bytes.

    Args:
        data: the folder of all chunks.
        name: lower-case letters, digits, ``-`` and ``/``.
        arrays: of one of the dtypes in `DTYPES`.
        facts: JSON values.

    Raises:
        TypeError: an array is of another dtype.
        OSError: the file could not be written.
    """
    script = f'twinsae("{name}","{base64.b64encode(_pack(arrays, facts)).decode()}")\n'
    file = data / f"{name}.js"
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        temporary.write_text(script, encoding="ascii")
    return len(script)


def _pack(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    described, bodies = [], []
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"{name}: expected one of {', '.join(DTYPES)}, got {array.dtype}")
        described.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape)})
        body = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        bodies.append(body + bytes(-len(body) % 8))
    header = json.dumps({"arrays": described, "facts": facts}, separators=(",", ":")).encode()
    header += b" " * (-(4 + len(header)) % 8)
    # Without a time the same data gives the same bytes.
    content = len(header).to_bytes(4, "little") + header + b"".join(bodies)
    # Level 4 takes a third of the time of 9 and about the same bytes.
    return gzip.compress(content, 4, mtime=0)


def read_chunk(data: Path, name: str) -> Chunk:
    """Read the chunk ``name`` back.

    Raises:
        FileNotFoundError: there is no such chunk.
        ValueError: it is damaged.
    """
    file = data / f"{name}.js"
    call = _CALL.fullmatch(file.read_text(encoding="ascii"))
    if call is None or call[1] != name:
        raise ValueError(f"{file} is damaged: it is no call of twinsae with the name {name!r}")
    try:
        return _unpack(gzip.decompress(base64.b64decode(call[2], validate=True)))
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def _unpack(content: bytes) -> Chunk:
    start = 4 + int.from_bytes(content[:4], "little")
    header = json.loads(content[4:start])
    arrays = {}
    for entry in header["arrays"]:
        dtype, shape = np.dtype(entry["dtype"]).newbyteorder("<"), tuple(entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(content, dtype, count, start)
        arrays[entry["name"]] = values.astype(dtype.newbyteorder("=")).reshape(shape)
        start += values.nbytes + -values.nbytes % 8
    return Chunk(arrays, header["facts"])
