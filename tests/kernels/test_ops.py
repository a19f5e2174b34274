"""The custom ops: schemas, fakes, compilation of the public functions, one definition."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from twinsae.kernels.autoencode import topk_autoencode
from twinsae.kernels.decode import csr_decode, decode_error, gather_dot, sparse_decode
from twinsae.kernels.grads import latent_grads
from twinsae.kernels.topk import linear_above, linear_topk, mutual_topk, ops, pack, pairs_above

BACKENDS = ["reference", "native"]
OPS = [
    "linear_topk", "mutual_topk", "pairs_above", "sparse_decode", "gather_dot", "decode_error",
    "latent_grads", "topk_autoencode", "linear_above",
]  # fmt: skip


def calls(make: SimpleNamespace, backend: str) -> dict[str, tuple]:
    """Return arguments of each op."""
    x, weight, bias = make.reals(6, 5), make.reals(40, 5), make.reals(40)
    indices = torch.tensor([[3, -1], [0, 0], [39, 3], [1, 2], [-1, -1], [7, 7]])
    values, floor = make.reals(6, 2), torch.zeros(6)
    leaves = [t.requires_grad_() for t in (x, weight, bias, values)]
    plain = [t.detach() for t in leaves]
    outs = (torch.zeros(40, 5), torch.zeros(40, 5), torch.zeros(40), torch.zeros(40).long())
    prices = torch.zeros(6).double(), torch.zeros(40).double()
    return {
        "linear_topk": (x, weight, bias, [], 3, floor, bias > 0, 2, backend),
        "mutual_topk": (plain[0], plain[1], [], 3, floor, torch.zeros(40), True, backend),
        "pairs_above": (plain[0], plain[1], [], *prices, 0.5, None, 999, True, "reference"),
        "sparse_decode": (values, indices, weight, make.reals(5).requires_grad_(), None, backend),
        "gather_dot": (plain[0], indices, plain[1], None, backend),
        "latent_grads": (
            indices, 40, plain[3], values.detach(), plain[0], plain[0], *outs, True, None, backend,
        ),
        "decode_error": (
            plain[3], indices, plain[1], make.reals(5), plain[0], torch.tensor(0.5), None,
            backend,
        ),
        "topk_autoencode": (x, weight, bias, [], weight, make.reals(5), 3, backend),
        "linear_above": (x, weight, bias, [], torch.zeros(40), backend),
    }  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", OPS)
def test_opcheck(make: SimpleNamespace, op: str, backend: str) -> None:
    torch.library.opcheck(getattr(torch.ops.twinsae, op).default, calls(make, backend)[op])


@pytest.mark.parametrize("backend", BACKENDS)
def test_public_functions_compile_as_one_graph(make: SimpleNamespace, backend: str) -> None:
    x, weight, bias = make.reals(6, 5), make.reals(40, 5).requires_grad_(), make.reals(40)
    floor, mask = make.reals(6), make.reals(40) > -1

    def loss(x, weight, bias):
        top = linear_topk(x, weight, bias, 3, floor=floor, mask=mask, groups=2, backend=backend)
        out = sparse_decode(top.values[:, 0], top.indices[:, 0], weight[:20], backend=backend)
        dots = gather_dot(out.detach(), top.indices[:, 1], weight.detach(), backend=backend)
        sums = latent_grads(dots, dots, top.indices[:, 1], x, x, 20, backend=backend)
        fixed, chosen = top.values[:, 1].detach(), top.indices[:, 1]
        scale = torch.tensor(0.5)
        error = decode_error(fixed, chosen, weight.detach(), None, x, scale, backend=backend)
        near = mutual_topk(x, weight, 2, backend=backend)
        whole = topk_autoencode(x, weight, bias, weight * 2, None, 3, backend=backend)
        return (
            whole.fvu
            + whole.values.sum()
            + out.square().sum()
            + dots.sum()
            + error.squares.sum()
            + sums.dW_enc.sum()
            + near.col_values.sum()
        )

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected, found = loss(x, weight, bias), compiled(x, weight, bias)
    torch.testing.assert_close(found, expected)
    exact = torch.autograd.grad(expected, weight)[0]
    torch.testing.assert_close(torch.autograd.grad(found, weight)[0], exact)


@pytest.mark.parametrize("dynamic", [False, True])
def test_pairs_and_packed_weights_compile_as_one_graph(
    make: SimpleNamespace, dynamic: bool
) -> None:
    packed, u, v = pack(make.reals(40, 5)), torch.zeros(6).double(), torch.zeros(40).double()

    def count(x):
        pairs = pairs_above(x, packed, u[: x.shape[0]], v, margin=-1.0, capacity=500)
        active = linear_above(x, packed, None, 1.0)
        recon = csr_decode(*active[:3], packed.weight)
        return linear_topk(x, packed, None, 3).values, pairs.rows + 1, pairs.overflow, recon

    compiled = torch.compile(count, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for rows in (6, 4):
        x = make.reals(rows, 5)
        for found, expected in zip(compiled(x), count(x), strict=True):
            assert torch.equal(found, expected)


@pytest.mark.slow
def test_training_step_compiles_with_inductor(make: SimpleNamespace) -> None:
    x, weight, bias = make.reals(16, 8), make.reals(64, 8).requires_grad_(), make.reals(64)

    def loss(x, weight, bias):
        top = linear_topk(x * 2, weight, bias, 3)
        return (sparse_decode(top.values, top.indices, weight) - x).square().sum()

    torch.use_deterministic_algorithms(False)
    found = torch.compile(loss, fullgraph=True)(x, weight, bias)
    torch.testing.assert_close(found, loss(x, weight, bias))
    exact = torch.autograd.grad(loss(x, weight, bias), weight)[0]
    torch.testing.assert_close(torch.autograd.grad(found, weight)[0], exact)


def test_fakes_on_a_gpu_that_is_not_there() -> None:
    with FakeTensorMode(shape_env=ShapeEnv()):
        x = torch.empty(6, 5, device="cuda", dtype=torch.bfloat16)
        weight = torch.empty(40, 5, device="cuda", dtype=torch.bfloat16)
        prices = (torch.empty(n, device="cuda", dtype=torch.float64) for n in (6, 40))
        top = linear_topk(x, weight, None, 3, groups=4)
        values, indices = top.values.select(1, 0), top.indices.select(1, 0)
        near = mutual_topk(x, weight, 2)
        pairs = pairs_above(x, weight, *prices, margin=0.0, capacity=7)
        active = linear_above(x, weight, None, 0.5)
        csr = csr_decode(*active[:3], weight)
        csr_dots = gather_dot(x, active.indices, weight, row_offsets=active.row_offsets)
        lists = active.values, csr_dots, active.indices, x, x, 40
        csr_sums = latent_grads(*lists, row_offsets=active.row_offsets)
        packed = linear_topk(x.float(), pack(weight.float()), None, 3)
        out = sparse_decode(values, indices, weight)
        dots = gather_dot(x, indices, weight)
        sums = latent_grads(dots, dots, indices, x, x, 40)
        scale = torch.empty((), device="cuda")
        error = decode_error(values, indices, weight, None, x, scale)
        whole = topk_autoencode(x, weight, None, weight, None, 3)
    shapes = [*top[:2], *near[:4], pairs.overflow, out, dots, *sums, *top.stats, *error]
    shapes += [*whole[:5], *whole.stats, active.row_offsets, csr, *csr_sums, *packed[:2]]
    assert [tuple(t.shape) for t in shapes] == [
        (6, 4, 3), (6, 4, 3), (6, 2), (6, 2), (40, 2), (40, 2), (), (6, 5), (6, 3),
        (40, 5), (40, 5), (40,), (40,), (), (), (6,), (6, 5), (6, 3),
        (6, 5), (6, 3), (6, 3), (6,), (6,), (), (),
        (7,), (6, 5), (40, 5), (40, 5), (40,), (40,), (6, 3), (6, 3),
    ]  # fmt: skip
    lists = [active.indices, active.values, csr_dots, pairs.rows, pairs.cols]
    assert all(t.device.type == "cuda" for t in [*shapes, *lists])
    half = (top.values, near.col_values, out, dots, whole.recon, whole.values)
    assert all(t.dtype == torch.bfloat16 for t in half)
    assert error.g.dtype == error.d_values.dtype == torch.bfloat16
    assert sums.dW_dec.dtype == error.squares.dtype == torch.float32
    assert whole.squares.dtype == whole.deviations.dtype == torch.float32
    assert pairs.rows.dtype == torch.int64


def test_the_ops_are_defined_once_under_two_names(tmp_path: Path) -> None:
    code = (
        "import torch, kernels.topk, twinsae.kernels.topk\n"
        "assert kernels.topk.linear_topk is not twinsae.kernels.topk.linear_topk\n"
        "for room in (kernels, twinsae.kernels):\n"
        "    found = room.topk.linear_topk(torch.ones(3, 2), torch.ones(9, 2), None, 2)\n"
        "    assert found.indices.tolist() == [[0, 1]] * 3"
    )
    (tmp_path / "kernels").symlink_to(Path(ops.__file__).parents[1])
    # By name: PYTHONSAFEPATH would leave the working folder out.
    path = {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ | path)


def test_eager_calls_import_neither_triton_nor_the_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from twinsae.kernels.topk import linear_topk\n"
        "x = torch.ones(2, 3, requires_grad=True)\n"
        "linear_topk(x, torch.ones(4, 3), None, 1).values.sum().backward()\n"
        "assert not {'triton', 'torch._dynamo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
