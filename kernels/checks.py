"""Checks arguments of the public functions; an error is one line that names the argument.

All checks except `check_range` and `check_ascending` read only shapes, dtypes and devices, so that
they also work while `torch.compile` traces.
"""

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_floats(name: str, tensor: Tensor, dims: int) -> None:
    """Raise unless `tensor` is a real tensor with `dims` dimensions."""
    check_dims(name, tensor, dims)
    if tensor.dtype not in FLOATS:
        names = "float32, bfloat16, float16 or float64"
        raise TypeError(f"{name}: expected {names}, got {tensor.dtype}")


def check_dims(name: str, tensor: Tensor, dims: int) -> None:
    """Raise unless `tensor` is a strided tensor with `dims` dimensions."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(tensor).__name__}")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got {tensor.layout}")
    if tensor.ndim != dims:
        raise ValueError(f"{name}: expected {dims} dimensions, got shape {tuple(tensor.shape)}")


def check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless `tensor` has this shape."""
    check_dims(name, tensor, len(shape))
    if tensor.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(tensor.shape)}")


def check_dtype(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Raise unless `tensor` has this dtype."""
    if tensor.dtype != dtype:
        raise TypeError(f"{name}: expected {dtype}, got {tensor.dtype}")


def check_like(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raise unless `tensor` has the dtype and the device of `other`."""
    if tensor.dtype != other.dtype:
        raise TypeError(f"{name}: expected {other.dtype} as {other_name} has, got {tensor.dtype}")
    check_device(name, tensor, other_name, other)


def check_device(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raise unless `tensor` is on the device of `other`."""
    if tensor.device != other.device:
        raise ValueError(
            f"{name}: expected device {other.device} as {other_name} has, got {tensor.device}"
        )


def check_indices(name: str, indices: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless `indices` is int64 with this shape. The op itself checks the values."""
    check_shape(name, indices, shape)
    check_dtype(name, indices, torch.int64)


def check_row_offsets(row_offsets: Tensor, indices: Tensor) -> None:
    """Raise unless `row_offsets` is int64 (N + 1,) and on the device of `indices`.

    The op itself checks the values.
    """
    check_dims("row_offsets", row_offsets, 1)
    check_dtype("row_offsets", row_offsets, torch.int64)
    check_device("row_offsets", row_offsets, "indices", indices)
    if row_offsets.shape[0] == 0:
        raise ValueError("row_offsets: expected N + 1 numbers for N rows, got none")


def check_count(name: str, value: int, most: int, most_is: str) -> None:
    """Raise unless 1 <= value <= most; `most_is` says what `most` stands for."""
    if not 1 <= value <= most:
        raise ValueError(f"{name}: expected 1 to {most} ({most_is}), got {value}")


def check_range(name: str, indices: Tensor, count: int) -> None:
    """Raise unless all indices are -1 to count - 1. It reads them, so only ops may call it."""
    if indices.numel():
        check_ends(name, torch.stack(indices.aminmax()), indices, count)


def check_ends(name: str, ends: Tensor, indices: Tensor, count: int) -> None:
    """Raise unless the indices, whose least and largest are `ends`, are -1 to count - 1."""
    least, largest = ends.tolist()
    if least < -1 or largest >= count:
        wrong = indices[(indices < -1) | (indices >= count)][0].item()
        raise ValueError(f"{name}: expected -1 to {count - 1}, got {wrong}")


def check_ascending(row_offsets: Tensor, places: int) -> None:
    """Raise unless row offsets ascend from 0 to `places`. Only ops may call it."""
    first, last = int(row_offsets[0]), int(row_offsets[-1])
    if first != 0 or last != places or bool((row_offsets.diff() < 0).any()):
        raise ValueError(
            f"row_offsets: expected numbers that ascend from 0 to {places}, the number of indices"
        )
