"""Tensors as the numpy arrays that the native kernels take."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def float_array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the tensor as contiguous float32, sharing its memory where it is that already."""
    return tensor.detach().to(torch.float32).contiguous().numpy()


def array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return the tensor, contiguous, in its own dtype, sharing its memory where it is that."""
    return tensor.detach().contiguous().numpy()
