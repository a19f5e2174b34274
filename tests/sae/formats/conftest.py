"""How the files of an SAE are damaged: for test_fuzz.py and test_fuzz_commands.py."""

import io
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load as read_safetensors
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

WEIGHTS = (".safetensors", ".npz", ".pt", ".pth")
Arrays = dict[str, Any]


class Damage(NamedTuple):
    """One way to change a file."""

    name: str
    file: str
    content: Callable[[], bytes | None]
    """What the file holds then; None: it is gone."""
    lossless: bool = False
    """All is still said, so that an SAE that is loaded must be the right one."""

    @property
    def kind(self) -> str:
        """What is done, without to which array or key."""
        return self.name.partition(":")[0]


def _ints(tensor: Tensor) -> Tensor:
    return torch.nan_to_num(tensor.float() * 100).to(torch.int32)


def _with(number: float) -> Callable[[Tensor], Tensor]:
    def put(tensor: Tensor) -> Tensor:
        changed = tensor.clone().float()
        changed.view(-1)[:1] = number
        return changed

    return put


ARRAY_DAMAGE: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda tensor: tensor.T.contiguous(),
    "one row less": lambda tensor: tensor[:-1],
    "one row more": lambda tensor: torch.cat([tensor, tensor[:1]]),
    "1-D": lambda tensor: tensor.reshape(-1),
    "2-D": lambda tensor: tensor.reshape(1, -1),
    "3-D": lambda tensor: tensor.reshape(1, *tensor.shape, 1)[..., 0],
    "0-D": lambda tensor: tensor.reshape(-1)[0].clone() if tensor.numel() else tensor,
    "empty": lambda tensor: tensor[:0],
    "no columns": lambda tensor: tensor[..., :0],
    "integers": _ints,
    "booleans": lambda tensor: tensor > 0,
    "float64": lambda tensor: tensor.double(),
    "float16": lambda tensor: tensor.half(),
    "NaN": _with(float("nan")),
    "infinite": _with(float("inf")),
    "negative": lambda tensor: -tensor.float().abs() - 1,
    "zeros": torch.zeros_like,
}
NUMBERS: dict[str, Any] = {
    "text": "text", "null": None, "list": [1, 2], "object": {"a": 1}, "true": True, "zero": 0,
    "negative": -3, "fraction": 2.5, "huge": 10**30, "large": 2**31, "NaN": float("nan"),
    "infinite": float("inf"), "empty text": "", "deep": [[[[[]]]]],
}  # fmt: skip
MISSING = object()


def _read(path: Path) -> Arrays:
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path.read_bytes()))
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    return dict(torch.load(path, weights_only=True))


def _written(suffix: str, arrays: Arrays) -> bytes:
    arrays = {k: v.contiguous().clone() if isinstance(v, Tensor) else v for k, v in arrays.items()}
    if suffix == ".safetensors":
        return bytes(safetensors_bytes(arrays))
    buffer = io.BytesIO()
    if suffix == ".npz":
        numpy = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in arrays.items()}
        np.savez(buffer, **numpy)
    else:
        torch.save(arrays, buffer)
    return buffer.getvalue()


def _without(arrays: Arrays, name: str) -> Arrays:
    return {other: value for other, value in arrays.items() if other != name}


def _of_arrays(path: Path, file: str) -> Iterator[Damage]:
    arrays = _read(path)

    def written(changed: Arrays) -> Callable[[], bytes]:
        return lambda: _written(path.suffix, changed)

    yield Damage("no arrays", file, written({}))
    yield Damage("strange array", file, written(arrays | {"strange": torch.ones(2, 3)}), True)
    for name, value in arrays.items():
        yield Damage(f"without: {name}", file, written(_without(arrays, name)))
        renamed = _without(arrays, name) | {f"{name}_": value}
        yield Damage(f"renamed: {name}", file, written(renamed))
        if not isinstance(value, Tensor):
            for what, number in NUMBERS.items():
                yield Damage(f"{what}: {name}", file, written(arrays | {name: number}))
            continue
        for what, damage in ARRAY_DAMAGE.items():
            if value.ndim == 0 and what in ("one row less", "one row more", "empty", "no columns"):
                continue
            if what == "transposed" and value.ndim != 2:
                continue
            told = what == "transposed" and value.shape[0] != value.shape[1]
            lossless = told or (what == "float64" and value.is_floating_point())
            changed = arrays | {name: damage(value)}
            yield Damage(f"{what}: {name}", file, written(changed), lossless)
    if path.suffix == ".npz":
        yield Damage("code", file, written(arrays | {"code": np.array(Code(), dtype=object)}))
    if path.suffix in (".pt", ".pth"):
        yield Damage("code", file, lambda: _pickled(arrays | {"code": Code()}))
        yield Damage("a list", file, lambda: _pickled(list(arrays.values())))
        yield Damage("nested", file, lambda: _pickled({"state_dict": arrays}))
        yield Damage("texts for arrays", file, lambda: _pickled(dict.fromkeys(arrays, "text")))
        yield Damage("numbers as names", file, lambda: _pickled(dict(enumerate(arrays.values()))))


class Code:
    """What runs if it is unpickled; no `except Exception` would hide that."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('a file ran code')",)


def _pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _of_bytes(path: Path, file: str) -> Iterator[Damage]:
    whole = path.read_bytes()
    noise = random.Random(file).randbytes(len(whole))

    def to(content: bytes | None) -> Callable[[], bytes | None]:
        return lambda: content

    yield Damage("gone", file, to(None))
    for length in (0, 1, 7, 8, 9, 40, len(whole) // 2, len(whole) - 1):
        yield Damage(f"cut: after {length} bytes", file, to(whole[:length]))
    yield Damage("noise", file, to(noise))
    yield Damage("noise after 8 bytes", file, to(whole[:8] + noise[8:60] + whole[60:]))
    yield Damage("all zeros", file, to(bytes(len(whole))))
    for length in (2**62, 2**31, len(whole)):
        yield Damage(
            f"header: of {length} bytes", file, to(length.to_bytes(8, "little") + whole[8:])
        )
    yield Damage("bytes after the end", file, to(whole + noise))


def _of_json(path: Path, file: str) -> Iterator[Damage]:
    content = json.loads(path.read_text())

    def to(text: str) -> Callable[[], bytes]:
        return lambda: text.encode()

    for text in ("", "{", "text", "[]", "null", "3", '"text"', "{}", "[" * 5000, "\0", "\ufeff{}"):
        yield Damage(f"JSON: {text[:9]!r}", file, to(text))
    yield Damage("not UTF-8", file, lambda: b"\xff\xfe\x00{")
    yield Damage("spaces", file, to(json.dumps(content, indent=9)), True)
    for keys in _keys(content):
        for what, value in ("missing", MISSING), *NUMBERS.items():
            changed = partial(_changed, content, keys, value)
            yield Damage(f"{what}: {'.'.join(keys)}", file, partial(_dumped, changed))


def _dumped(content: Callable[[], dict[str, Any]]) -> bytes:
    return json.dumps(content()).encode()


def _keys(content: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *below) for below in _keys(value))


def _changed(content: dict[str, Any], keys: tuple[str, ...], value: object) -> dict[str, Any]:
    if len(keys) > 1:
        return content | {keys[0]: _changed(content[keys[0]], keys[1:], value)}
    return _without(content, keys[0]) if value is MISSING else content | {keys[0]: value}


def _damages(files: Path) -> list[Damage]:
    found: list[Damage] = []
    for path in sorted(path for path in files.rglob("*") if path.is_file()):
        file = str(path.relative_to(files))
        found += _of_bytes(path, file)
        if path.suffix in WEIGHTS:
            found += _of_arrays(path, file)
        elif path.suffix == ".json":
            found += _of_json(path, file)
    return found


@pytest.fixture(scope="session")
def damages_of() -> Callable[[Path], list[Damage]]:
    """All ways to damage the files of a folder, always in the same order."""
    return _damages
