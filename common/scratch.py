"""Large arrays in temporary files: mapped, so that they do not count as memory of the process."""

import math
import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from .units import format_bytes

SMALL = 64 * 2**20
"""Bytes up to which an array stays in memory."""

_ROOM = 2**26  # bytes that are left free on the disk


def scratch_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return an uninitialised tensor: in memory if it is small, else in a temporary file.

    The file has no name and is gone with the tensor. It lies in the folder of temporary files,
    which the environment's TMPDIR moves.

    Raises:
        OSError: the disk has no room for it.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= SMALL:
        return torch.empty(shape, dtype=dtype)
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free < size + _ROOM:
        raise OSError(
            f"{folder} has {format_bytes(free)} free, but a temporary file needs "
            f"{format_bytes(size)}: set TMPDIR to a folder with more room"
        )
    with tempfile.NamedTemporaryFile(prefix="twinsae-", dir=folder) as file:
        file.truncate(size)
        # Mapped before its name goes; the mapping keeps the file.
        return torch.from_file(file.name, shared=True, size=math.prod(shape), dtype=dtype).view(
            shape
        )
