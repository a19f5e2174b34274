"""Turns CPU tensors into the numpy arrays that the C++ kernels take."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def float_array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the tensor as contiguous float32. It shares the memory of one that already is."""
    return tensor.detach().to(torch.float32).contiguous().numpy()


def array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return the tensor as contiguous, in its own dtype. It shares the memory of one that is."""
    return tensor.detach().contiguous().numpy()
