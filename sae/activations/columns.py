"""Vectors in the Arrow files of a saved data set, without a copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.dlpack import from_dlpack

from ...common.packages import need


def arrow_columns(file: Path) -> Iterator[Any]:
    """Yield, for each record batch of an Arrow file, its column of vectors of floats.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: the file is corrupt, or it has no such column, or several.
    """
    need(f"{file}, activations in a saved data set,", "pyarrow")
    import pyarrow
    from pyarrow import ipc

    try:
        table = ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
    except (OSError, pyarrow.ArrowInvalid) as error:
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
    from pyarrow import compute

    gaps = column.null_count
    while _is_list(column.type.value_type):
        column = column.flatten()
        gaps += column.null_count
    values = column.flatten()
    lengths = compute.list_value_length(column).drop_null().unique().to_pylist()
    if gaps or values.null_count or len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(f"{file}: expected vectors of one length without empty places")
    return from_dlpack(values).reshape(-1, lengths[0])


def _storage_type(kind: Any) -> Any:
    return getattr(kind, "storage_type", kind)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_vectors(kind: Any) -> bool:
    from pyarrow import types

    if not _is_list(kind):
        return False
    while _is_list(kind):
        kind = kind.value_type
    return bool(types.is_floating(kind))
