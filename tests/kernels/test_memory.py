"""Working memory is bounded by chunks: it grows neither with L nor with N.

Peaks were 4 to 45 MiB; all scores would be 61 MiB and more.
"""

import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary
from twinsae.kernels.decode import reference as decode
from twinsae.kernels.decode.interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs
from twinsae.kernels.grads import reference as grads
from twinsae.kernels.grads.interface import LatentGradsInputs
from twinsae.kernels.topk import reference as topk
from twinsae.kernels.topk.interface import LinearTopKInputs, MutualTopKInputs, PairsAboveInputs

MIB = 1 << 20


def tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Peak(TorchDispatchMode):
    """Keeps the most bytes that tensors made in this context held at once, without the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.given, self.bytes = WeakIdKeyDictionary(), set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.given |= {place(t) for t in tensors((args, kwargs)) if t not in self.live}
        out = func(*args, **(kwargs or {}))
        self.live.update((tensor, None) for tensor in tensors(out))
        sizes = {place(t): t.untyped_storage().nbytes() for t in self.live}
        self.bytes = max(self.bytes, sum(sizes[at] for at in sizes.keys() - self.given))
        return out


@pytest.mark.parametrize(("rows", "latents"), [(64, 250_000), (250_000, 64), (5000, 9000)])
@pytest.mark.parametrize("with_mask", [False, True])
def test_reference_linear_topk(rows: int, latents: int, with_mask: bool) -> None:
    x, weight, bias = torch.ones(rows, 2), torch.rand(latents, 2), torch.zeros(latents)
    mask = torch.ones(latents, dtype=torch.bool) if with_mask else None
    with Peak() as peak:
        topk.linear_topk(LinearTopKInputs(x, weight, bias, [], 2, torch.zeros(rows), mask, 1))
    assert peak.bytes <= 48 * MIB


def test_reference_linear_topk_at_a_large_dim() -> None:
    x, weight = torch.ones(300, 30_000), torch.ones(500, 30_000)  # 34 and 57 MiB
    with Peak() as peak:
        topk.linear_topk(LinearTopKInputs(x, weight, None, [], 2, torch.zeros(300), None, 1))
    assert peak.bytes <= 48 * MIB


@pytest.mark.parametrize(("rows", "cols"), [(64, 250_000), (250_000, 64), (5000, 6000)])
def test_reference_mutual_topk_and_pairs_above(rows: int, cols: int) -> None:
    a, b = torch.rand(rows, 2), torch.rand(cols, 2)
    prices = torch.full((rows,), 9.0).double(), torch.full((cols,), 9.0).double()
    with Peak() as peak:
        floors = torch.zeros(rows), torch.zeros(cols)
        topk.mutual_topk(MutualTopKInputs(a, b, [], 2, *floors, True))
        topk.pairs_above(PairsAboveInputs(a, b, [], *prices, 0.0, None, 10, True))
    assert peak.bytes <= 48 * MIB


def test_reference_pairs_above_lists_no_more_than_its_capacity() -> None:
    ones = torch.ones(4000, 1)
    zero = torch.zeros(4000).double()
    with Peak() as peak:
        inputs = PairsAboveInputs(ones, ones, [], zero, zero, 0.0, None, 10, True)
        *_, overflow, _, _ = topk.pairs_above(inputs)
    assert int(overflow) == 4000**2 - 10
    assert peak.bytes <= 48 * MIB


def test_reference_sparse_products_never_hold_rows_x_k_x_dim() -> None:
    rows, k, dim = 2000, 64, 512  # (N, k, D) would be 250 MiB, one (N, D) is 4 MiB
    indices = torch.randint(100, (rows, k))
    values, x, weight = torch.rand(rows, k), torch.rand(rows, dim), torch.rand(100, dim)
    outs = torch.zeros(100, dim), torch.zeros(100, dim), torch.zeros(100), torch.zeros(100).long()
    with Peak() as peak:
        decode.sparse_decode(SparseDecodeInputs(values, indices, weight, None))
        decode.gather_dot(GatherDotInputs(x, indices, weight))
        grads.latent_grads(LatentGradsInputs(indices, 100, values, values, x, x, *outs, True))
        decode.decode_error(DecodeErrorInputs(values, indices, weight, None, x, torch.tensor(2.0)))
    assert peak.bytes <= 24 * MIB


NATIVE = """
import resource, torch
from twinsae.kernels.topk import linear_topk, mutual_topk
x, weight = torch.rand(4096, 8), torch.rand(40_000, 8)
linear_topk(x[:99], weight[:99], None, 4)
mutual_topk(x[:99], weight[:99], 4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
linear_topk(x, weight, None, 4)
mutual_topk(x, weight, 4)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_native_scans_never_hold_the_product() -> None:
    # The product would be 625 MiB; the bound is four 16 MiB buffers, the candidates of 40,000
    # columns (12 MiB) and the results.
    done = subprocess.run(
        [sys.executable, "-c", NATIVE], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) <= 100
