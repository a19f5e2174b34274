"""Single arrays in .npy files. Nothing in a file is executed."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def map_npy(file: Path, what: str = "a .npy array") -> Tensor:
    """Return the array of a .npy file, memory-mapped; changing it changes memory only.

    Args:
        file: the file.
        what: what it should hold, for messages.

    Raises:
        ValueError: the file is corrupt, or holds objects or numbers that torch has not.
    """
    try:
        # Copy-on-write, because torch warns about arrays that cannot be written.
        return torch.from_numpy(np.load(file, mmap_mode="c", allow_pickle=False))
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{file} cannot be read as {what}: {error}") from error
