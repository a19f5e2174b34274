"""Where the heavy work of a command runs."""

from typing import Literal, get_args

Device = Literal["cpu", "cuda"]


def check_device(name: str) -> None:
    """Raise if there is no such device.

    Raises:
        ValueError: it is neither "cpu" nor "cuda", or torch finds no GPU.
    """
    if name not in get_args(Device):
        raise ValueError(f"device: expected {' or '.join(get_args(Device))}, got {name!r}")
    import torch  # the command line's help needs only the names

    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: torch finds no CUDA GPU on this machine")
