"""Arrays of .npz files, read one at a time and mapped where they lie uncompressed in the file."""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ...common.blocks import slices
from ...common.errors import first_line
from ...common.files import StrPath, atomic_write
from ...common.scratch import SMALL, scratch_tensor

_PIECE = 2**22  # bytes that are unpacked at once
_DAMAGED = (
    ValueError, TypeError, EOFError, AttributeError, OverflowError, MemoryError, SyntaxError,
    zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, struct.error,
    zlib.error,
)  # fmt: skip
"""What zipfile and numpy raise where a file is damaged."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip member: signature, lengths of name and extra


class NpzArrays(Mapping[str, Tensor]):
    """The arrays of a .npz file by name; each is read when it is asked for.

    An uncompressed array is memory-mapped. A large one that is compressed, or does not lie at a
    multiple of its numbers' size, goes to a temporary file, which is mapped. Nothing in the file
    is executed.

    Raises:
        ValueError: the file is no .npz file; when an array is asked for: it is damaged, or holds
            objects.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = _arrays_in(archive)
        except (*_DAMAGED, OSError) as error:
            raise _unreadable(path, error) from error

    def __getitem__(self, name: str) -> Tensor:
        """Return one array as a tensor."""
        member = self._members[name]
        try:
            if member.compress_type == zipfile.ZIP_STORED:
                return self._mapped(member)
            return self._unpacked(member)
        except _DAMAGED as error:
            raise _unreadable(self._path, error) from error

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._members)

    def __len__(self) -> int:
        """Return how many arrays there are."""
        return len(self._members)

    def headers(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Return shape and dtype of each array; see `npz_headers`."""
        with self._path.open("rb") as file:
            return npz_headers(file, self._path)

    def _mapped(self, member: zipfile.ZipInfo) -> Tensor:
        with self._path.open("rb") as file:
            file.seek(member.header_offset)
            signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            if signature != b"PK\x03\x04":
                raise ValueError(f"member {member.filename!r} is not where the directory says")
            start = member.header_offset + _LOCAL_HEADER.size + name + extra
            file.seek(start)
            shape, fortran, dtype = _read_header(file)
            offset = file.tell()
        if offset + dtype.itemsize * int(np.prod(shape, dtype=object)) > start + member.file_size:
            raise ValueError(f"member {member.filename!r} is shorter than its header says")
        if 0 in shape or not shape:
            return self._unpacked(member)
        order: Any = "F" if fortran else "C"
        # Copy-on-write: torch wants memory that may be written.
        array: Any = np.memmap(
            self._path, dtype=dtype, mode="c", offset=offset, shape=shape, order=order
        )
        if offset % dtype.itemsize == 0:
            return torch.from_numpy(np.asarray(array))
        # A zip puts a member anywhere, but numbers must lie at multiples of their size.
        flat = scratch_tensor((array.nbytes,), torch.uint8).numpy().view(dtype)
        source = array.reshape(-1, order=order)
        for block in slices(len(flat), _PIECE):
            flat[block] = source[block]
        return torch.from_numpy(flat.reshape(shape, order=order))

    def _unpacked(self, member: zipfile.ZipInfo) -> Tensor:
        with zipfile.ZipFile(self._path) as archive, archive.open(member) as file:
            if member.file_size <= SMALL:
                return torch.from_numpy(np.lib.format.read_array(file, allow_pickle=False))
            shape, fortran, dtype = _read_header(file)
            flat = scratch_tensor((int(np.prod(shape)) * dtype.itemsize,), torch.uint8)
            memory = flat.numpy()
            done = 0
            while done < len(memory):
                piece = file.read(_PIECE)
                if not piece:
                    raise EOFError(f"member {member.filename!r} ends too early")
                memory[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
        array = flat.numpy().view(dtype)
        return torch.from_numpy(array.reshape(shape, order="F" if fortran else "C"))


def npz_headers(file: BinaryIO, path: StrPath) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and dtype of each array of a .npz file, of which only the headers are read.

    Arrays with another header than numpy's are left out.

    Args:
        file: it can seek.
        path: what it is called, for messages.

    Raises:
        ValueError: the file is no .npz file.
    """
    found = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for name, member in _arrays_in(archive).items():
                with suppress(*_DAMAGED), archive.open(member) as array:
                    shape, _, dtype = _read_header(array)
                    found[name] = shape, dtype
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    return found


def _arrays_in(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }


def save_npz(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a .npz file, atomically.

    Raises:
        OSError: the write failed.
        ValueError: a tensor is bfloat16, which numpy has not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bfloat16:
            raise ValueError(f"{file}: {name!r} is bfloat16, which .npz has not: use .safetensors")
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    with atomic_write(file) as temporary, temporary.open("wb") as out:
        np.savez(out, **arrays)


def _read_header(file: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns come first, and dtype of a .npy file at its beginning."""
    version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the .npy format is not known")
    shape, fortran, dtype = read(file)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    return shape, fortran, dtype


def _unreadable(path: StrPath, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read as .npz arrays: {first_line(error)}")
