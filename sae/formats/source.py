"""The files of one SAE on this machine: its tensors, mapped, and what its sidecar says."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ...common.scratch import SMALL
from .layouts import SHARDS
from .npz import NpzArrays
from .orientation import Found, Names, Orientation, Side, orient
from .paths import split_layer, weight_file
from .pt import map_pt
from .tensors import map_tensors
from .turning import turned

BACKUP = "ae"
"""Holds the tensors in dictionary_learning's backups, which have a refusal of their own."""
SIDECARS = ("cfg.json", "config.json", "hyperparams.json", "config.yaml")
COMPILED = "_orig_mod."  # before the names of a module that torch compiled
_SCALAR = re.compile(r"^(\w+):[ \t]+(\S.*?)\s*$", re.MULTILINE)


class Source:
    """One SAE's files.

    Args:
        path: a folder or file, perhaps with "#layer=N".
        overrides: settings in place of the sidecar's.
        scaling: by what activations are multiplied first, where only a registry knows that.
        orientation: the user's own word on the layout of the matrices.

    Attributes:
        path, overrides, scaling, orientation: as given, the path without the layer.
        layer: N of "#layer=N", or None.
        file: the file with the matrices.

    Raises:
        FileNotFoundError, ValueError: as `paths.weight_file`.
    """

    def __init__(
        self,
        path: Path,
        overrides: Mapping[str, Any] | None = None,
        scaling: float | None = None,
        orientation: Orientation | None = None,
    ) -> None:
        self.path, self.layer = split_layer(path)
        self.overrides = dict(overrides or {})
        self.scaling = scaling
        self.orientation = orientation
        self.file = weight_file(self.path)

    @cached_property
    def contents(self) -> Mapping[str, Any]:
        """All that the file holds by name: tensors, and of a .pt file numbers and texts, too.

        Raises:
            ValueError: the file is corrupt or of another kind.
        """
        found: Mapping[str, Any]
        if self.file.name == SHARDS:
            found = _shards(self.file)
        elif self.file.suffix == ".safetensors":
            found = map_tensors(self.file)
        elif self.file.suffix == ".npz":
            found = NpzArrays(self.file)
        else:
            found = map_pt(self.file)
            self._check_flat(found)
        if any(name.startswith(COMPILED) for name in found):
            found = {name.removeprefix(COMPILED): found[name] for name in found}
        return found if self.layer is None else self._of_layer(found)

    def _check_flat(self, found: Mapping[str, Any]) -> None:
        """Raise if a .pt file has its tensors in a dict that it holds, whatever they mean there."""
        if any(isinstance(value, Tensor) for value in found.values()):
            return
        for name, value in found.items():
            inner = value.values() if isinstance(value, dict) else ()
            if name != BACKUP and any(isinstance(tensor, Tensor) for tensor in inner):
                raise ValueError(
                    f"{self.file}: its tensors are nested in {name!r}, as in no known layout: "
                    "to match them, save that dict in a file of its own"
                )

    def _of_layer(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Take one place of the middle axis of each 3-D tensor, (L, layers, D)."""
        assert self.layer is not None
        taken, layers = {}, []
        for name in found:
            value = found[name]
            if isinstance(value, Tensor) and value.ndim == 3:
                layers.append(value.shape[1])
                value = value[:, self.layer] if self.layer < value.shape[1] else value
            taken[name] = value
        if not layers or self.layer >= min(layers):
            there = f"it has {min(layers)}" if layers else "it holds no 3-D tensor"
            raise ValueError(f"{self.file}: there is no layer {self.layer}: {there}")
        return taken

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors by name."""
        if isinstance(self.contents, NpzArrays):
            return {name: shape for name, (shape, _) in self.contents.headers().items()}
        tensors = {k: v for k, v in self.contents.items() if isinstance(v, Tensor)}
        return {name: tuple(tensor.shape) for name, tensor in tensors.items()}

    @cached_property
    def sidecar_file(self) -> Path | None:
        """The file that says more about the SAE, if there is one."""
        own = self.file.with_name(f"{self.file.stem}_cfg.json")
        folders = [self.file.parent]
        if self.file.parent.name == "checkpoints" or self.file.suffix == ".pt":
            folders.append(self.file.parent.parent)
        candidates = [own, *(folder / name for folder in folders for name in SIDECARS)]
        return next((path for path in candidates if path.is_file()), None)

    @cached_property
    def sidecar(self) -> dict[str, Any]:
        """What the sidecar says; {} without one.

        Raises:
            ValueError: it is no JSON object.
        """
        file = self.sidecar_file
        if file is None:
            return {}
        if file.suffix == ".yaml":  # of circuit-tracer; its top-level texts and numbers are enough
            return dict(_SCALAR.findall(_text(file)))
        try:
            content = json.loads(_text(file))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{file} is no configuration: it is not a JSON object")
        return content | self.overrides

    def tensor(self, name: str) -> Tensor:
        """Return a tensor.

        Raises:
            ValueError: the file has none of this name.
        """
        found = self.contents.get(name) if name in self.contents else None
        if not isinstance(found, Tensor):
            raise ValueError(f"{self.file} has no tensor {name!r}; it holds: {self.listed()}")
        return found

    def optional(self, *names: str) -> Tensor | None:
        """Return the first of these tensors that is there, or None."""
        name = next((name for name in names if name in self.contents), None)
        return None if name is None else self.tensor(name)

    def number(self, name: str) -> int:
        """Return a whole number that the file holds, as such or as a tensor of one element.

        Raises:
            ValueError: it is something else.
        """
        value = self.contents[name]
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if not is_whole(value):
            raise ValueError(f"{self.file}: {name!r} must be a whole number, not {value!r}")
        return int(value)

    def setting(self, name: str, kind: type, default: Any = None) -> Any:
        """Return what the sidecar says of a setting, or the default.

        Raises:
            ValueError: it is of another type, or missing where there is no default.
        """
        value = self.sidecar.get(name, default)
        if value is None:
            raise ValueError(f"{self.sidecar_file or self.file} has no {name!r}")
        fits = isinstance(value, kind) and not (kind is not bool and isinstance(value, bool))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            fits = True
        if not fits:
            raise ValueError(
                f"{self.sidecar_file}: {name!r} must be {kind.__name__}, not {value!r}"
            )
        return value

    def refused(self, what: str) -> ValueError:
        """Return the error that says what of this SAE is not supported."""
        return ValueError(f"{self.sidecar_file or self.file}: {what} is not supported")

    def listed(self) -> str:
        """Return the names of what the file holds, for messages."""
        names = sorted(self.contents)
        more = f", {len(names) - 20:,} more" if len(names) > 20 else ""
        return ", ".join(names[:20]) + more or "nothing"

    def orient(self, names: Names) -> Found:
        """Return which axes of the two matrices count latents; see `orientation.orient`."""
        return orient(self.shapes, names, self.orientation, str(self.file))

    def measure(self, names: Names) -> tuple[str, int, int]:
        """Return the name of the decoder's matrix, or the encoder's, and its L and width.

        Raises:
            ValueError: there is no matrix, or its orientation is not clear.
        """
        for side, axis in self.orient(names).axes.items():
            name = str(names.matrix(side))
            rows, columns = self.shapes[name]
            return (name, rows, columns) if axis == "rows" else (name, columns, rows)
        raise ValueError(f"{self.file} has no matrix of an SAE; it holds: {self.listed()}")

    def matrix(self, names: Names, side: Side) -> Tensor:
        """Return a side's matrix (L, D) or (L, d_out), in the dtype that is stored.

        Raises:
            ValueError: it is missing, its orientation is not clear, or it is not floating-point.
        """
        name = names.matrix(side)
        if name is None or name not in self.shapes:
            wanted = repr(name) if name else "matrix"
            raise ValueError(f"{self.file} has no {wanted} (the {side}); it holds: {self.listed()}")
        axis = self.orient(names).axes[side]
        matrix = self.tensor(name)
        if not matrix.is_floating_point():
            raise ValueError(
                f"{self.file}: the {side} {name!r} must be floating-point, not {matrix.dtype}"
            )
        return matrix if axis == "rows" else turned(matrix)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, perhaps as a float."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


class Metadata(Source):
    """What is known of an SAE whose files are elsewhere; it has no tensors.

    Args:
        file: the path of the file with the matrices, wherever it is.
        shapes: of its tensors by name.
        sidecar: what its sidecar says.
    """

    def __init__(
        self, file: str, shapes: Mapping[str, tuple[int, ...]], sidecar: Mapping[str, Any]
    ) -> None:
        self.path = self.file = Path(file)
        self.layer = self.orientation = self.scaling = self.sidecar_file = None
        self.overrides = {}
        # In place of what is read from the disk.
        self.shapes = self.contents = dict(shapes)
        self.sidecar = dict(sidecar)


def _shards(index: Path) -> dict[str, Tensor]:
    """Return the tensors of all shards that an index of Hugging Face's layout names."""
    try:
        places = json.loads(_text(index))["weight_map"]
        files = {name: str(file) for name, file in places.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is no index of shards: {error!r}") from error
    found: dict[str, Tensor] = {}
    for file in sorted(set(files.values())):
        if Path(file).name != file or not (index.parent / file).is_file():
            raise FileNotFoundError(f"{index} names {file}, which is not beside it")
        found |= map_tensors(index.parent / file)
    return found


def _text(file: Path) -> str:
    if file.stat().st_size > SMALL:
        raise ValueError(f"{file} is no configuration: it has {file.stat().st_size:,} bytes")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text: byte {error.start} of it is wrong") from error
