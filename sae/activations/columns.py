"""Vectors in the Arrow files of a saved data set, without a copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.dlpack import from_dlpack

from .packages import pyarrow

_SAVED = "a saved data set of activations"


def arrow_columns(file: Path) -> Iterator[Any]:
    """Yield, for each record batch of an Arrow file, its column of vectors of floats.

    Raises:
        ValueError: pyarrow is not installed, the file is corrupt, or it has no such column, or
            several.
    """
    arrow = pyarrow(_SAVED)
    try:
        table = arrow.ipc.open_stream(arrow.memory_map(str(file))).read_all()
    except (OSError, arrow.ArrowInvalid) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    names = [field.name for field in table.schema if _is_vectors(_storage_type(field.type))]
    if len(names) != 1:
        raise ValueError(
            f"{file}: expected one column of vectors of floats, found {names or table.schema.names}"
        )
    for chunk in table.column(names[0]).chunks:
        if len(chunk):
            yield getattr(chunk, "storage", chunk)


def vectors(column: Any, file: Path) -> Tensor:
    """Return nested lists of floats as (rows, D): D is the length of the innermost lists.

    Raises:
        ValueError: there are empty places, or the lists differ in length.
    """
    gaps = column.null_count
    while _is_list(column.type.value_type):
        column = column.flatten()
        gaps += column.null_count
    values = column.flatten()
    lengths = pyarrow(_SAVED).compute.list_value_length(column).drop_null().unique().to_pylist()
    if gaps or values.null_count or len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(f"{file}: expected vectors of one length without empty places")
    return from_dlpack(values).reshape(-1, lengths[0])


def _storage_type(kind: Any) -> Any:
    return getattr(kind, "storage_type", kind)


def _is_list(kind: Any) -> bool:
    types = pyarrow(_SAVED).types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_vectors(kind: Any) -> bool:
    if not _is_list(kind):
        return False
    while _is_list(kind):
        kind = kind.value_type
    return bool(pyarrow(_SAVED).types.is_floating(kind))
