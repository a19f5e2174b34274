"""What a match has done so far, kept in a folder, so that a killed one goes on from there."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...sae.formats.tensors import map_file, save_tensors
from ..rows import StoredRows

_FORMAT = "twinsae-match-work/3"


@dataclass(frozen=True)
class WorkFolder:
    """A folder for the states of one match, or none.

    Each state is a file of its own, replaced as a whole, and belongs to one problem.
    """

    path: Path | None
    problem: Mapping[str, Any]
    """All that the states depend on, as JSON values."""

    def save(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Keep a state; without a folder do nothing.

        Raises:
            OSError: it could not be written; the state before it is untouched.
        """
        if self.path is None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        metadata = {"format": _FORMAT, "problem": json.dumps(self.problem)}
        save_tensors(self._file(name), tensors, metadata)

    def load(self, name: str) -> dict[str, Tensor] | None:
        """Return the last state of this name, or None.

        Raises:
            ValueError: it is corrupt or of another problem; the message names the file.
        """
        if self.path is None or not self._file(name).exists():
            return None
        tensors, metadata = map_file(self._file(name))
        if metadata.get("format") != _FORMAT or json.loads(metadata["problem"]) != self.problem:
            raise ValueError(
                f"{self._file(name)} is of another match: delete it, or choose another work folder"
            )
        return {key: tensor.clone() for key, tensor in tensors.items()}

    def _file(self, name: str) -> Path:
        assert self.path is not None
        return self.path / f"{name}.safetensors"


def fingerprint(rows: StoredRows) -> str:
    """Return a hash of the rows as they are stored, with their shape and dtype."""
    digest = hashlib.sha256()
    for block in rows.blocks():
        digest.update(rows.matrix[block].cpu().contiguous().view(torch.uint8).numpy().data)
    return f"{rows.num_latents}x{rows.d_in} {rows.matrix.dtype} {digest.hexdigest()}"
