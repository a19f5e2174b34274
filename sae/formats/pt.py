"""The dicts of tensors that torch saves: .pt and .pth files. Nothing in a file is executed."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ...common.errors import first_line
from ...common.files import StrPath, atomic_write


def load_pt(file: Path, what: str) -> Any:
    """Return what a .pt file holds: tensors, memory-mapped, numbers, text and dicts of these.

    Files of torch before version 1.6 are read whole: they cannot be mapped.

    Args:
        file: the file.
        what: what it should hold, for messages.

    Raises:
        ValueError: the file is corrupt, or holds other objects.
    """
    try:
        return torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except Exception as error:  # a broken pickle makes torch raise any kind
        raise _unreadable(file, what, error) from error


def map_pt(file: Path) -> dict[str, Any]:
    """Return the dict in a .pt file, as `load_pt` reads it.

    Raises:
        ValueError: the file is corrupt, or holds something else.
    """
    state = load_pt(file, "a .pt state dict")
    if not isinstance(state, dict):
        raise ValueError(f"{file} must hold a dict of tensors, not {type(state).__name__}")
    return {str(key): value for key, value in state.items()}


def pt_headers(file: BinaryIO, path: StrPath) -> dict[str, Tensor]:
    """Return the tensors of the dict in a .pt file, without their numbers, which are not read.

    Args:
        file: it can seek. One of torch before version 1.6 is refused: it is no zip, and where its
            sizes are is known only once all is read.
        path: what it is called, for messages.

    Raises:
        ValueError: the file is corrupt, or holds something else.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{path} is no zip of torch: its sizes are not known before it is read")
    file.seek(0)
    try:
        with FakeTensorMode():  # torch then skips the numbers
            state = torch.load(file, weights_only=True)
    except Exception as error:  # a broken pickle makes torch raise any kind
        raise _unreadable(path, "a .pt state dict", error) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} must hold a dict of tensors, not {type(state).__name__}")
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def save_pt(file: Path, state: Mapping[str, Any]) -> None:
    """Write a dict to a .pt file, atomically.

    Raises:
        OSError: the write failed.
    """
    # Tensors of our own memory: torch writes the whole file that a mapped one is a part of.
    own = {name: v.clone() if isinstance(v, Tensor) else v for name, v in state.items()}
    with atomic_write(file) as temporary:
        torch.save(own, temporary)


def _unreadable(path: StrPath, what: str, error: Exception) -> ValueError:
    reason = first_line(error)
    if isinstance(error, UnpicklingError):
        # Torch goes on to advise how to run the file's code all the same.
        named = re.search(r"GLOBAL (\S+) was not", str(error))
        objects = f"Python objects ({named[1]})" if named else "Python objects"
        reason = f"it is damaged, or holds {objects}, which are never loaded"
    return ValueError(f"{path} cannot be read as {what}: {reason}")
