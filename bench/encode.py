"""`make bench`: TopK encoding on this CPU, inputs to (values, indices), beside torch's own."""

import platform
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from ..kernels.topk import linear_topk
from .timing import interleaved_medians

ROUNDS = 7


@dataclass(frozen=True)
class Shape:
    """N tokens of width D, L latents, k active."""

    num_tokens: int
    d_in: int
    num_latents: int
    k: int


SHAPES = (Shape(4096, 576, 768, 32), Shape(2048, 576, 20736, 32), Shape(2048, 768, 32768, 32))


def encode_times(shape: Shape) -> dict[str, float]:
    """Return the median seconds of each way to encode random float32 inputs of `shape`."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape.num_tokens, shape.d_in, generator=generator)  # (N, D)
    weight = torch.randn(shape.num_latents, shape.d_in, generator=generator)  # (L, D)
    bias = torch.randn(shape.num_latents, generator=generator)  # (L,)
    return interleaved_medians(
        {
            "torch": lambda: torch.relu(x @ weight.T + bias).topk(shape.k),
            "native": lambda: linear_topk(x, weight, bias, shape.k, backend="native"),
            "reference": lambda: linear_topk(x, weight, bias, shape.k, backend="reference"),
        },
        ROUNDS,
    )


def main() -> None:
    """Print one table."""
    threads = torch.get_num_threads()
    title = f"encode, float32, torch {torch.__version__}, {threads} threads, {platform.machine()}"
    table = Table("N", "D", "L", "k", "torch ms", "native ms", "reference ms", "native vs torch")
    table.title = title
    for shape in SHAPES:
        times = encode_times(shape)
        numbers = (shape.num_tokens, shape.d_in, shape.num_latents, shape.k)
        table.add_row(
            *map(str, numbers),
            *(f"{1e3 * times[name]:.1f}" for name in ("torch", "native", "reference")),
            f"{times['torch'] / times['native']:.2f}x",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
