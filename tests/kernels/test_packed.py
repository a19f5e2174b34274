"""Packed weights give the same bits, are frozen, and are refused where a gradient is needed."""

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest
import torch
from twinsae.kernels.topk import linear_topk, pack


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("latents", [1, 32, 99])
@pytest.mark.parametrize("groups", [1, 3])
def test_packing_does_not_change_a_bit(
    make: SimpleNamespace, dtype: torch.dtype, latents: int, groups: int
) -> None:
    x, weight = make.reals(17, 13, dtype=dtype), make.reals(latents * groups, 13, dtype=dtype)
    bias, mask = make.reals(latents * groups, dtype=dtype), make.reals(latents * groups) > 0
    packed = pack(weight)
    for options in ({}, {"mask": mask}):
        plain = linear_topk(x, weight, bias, 1, groups=groups, **options)
        ours = linear_topk(x, packed, bias, 1, groups=groups, **options)
        assert torch.equal(plain.values, ours.values)
        assert torch.equal(plain.indices, ours.indices)


def test_the_reference_reads_the_original(make: SimpleNamespace) -> None:
    x, weight = make.reals(5, 4), make.reals(40, 4)
    plain = linear_topk(x, weight, None, 3, backend="reference")
    assert torch.equal(
        linear_topk(x, pack(weight), None, 3, backend="reference").values, plain.values
    )


def test_it_is_frozen_and_keeps_the_weight(make: SimpleNamespace) -> None:
    weight = make.reals(40, 4)
    packed = pack(weight)
    assert packed.weight is weight
    assert [tuple(panels.shape) for panels in packed.packed] == [(2, 4, 32)]
    with pytest.raises(FrozenInstanceError):
        packed.weight = weight


def test_a_parameter_is_refused_while_gradients_are_recorded(make: SimpleNamespace) -> None:
    x, weight = make.reals(5, 4), make.reals(40, 4).requires_grad_()
    packed = pack(weight)
    with pytest.raises(ValueError, match="weight: a packed weight gets no gradient"):
        linear_topk(x, packed, None, 3)
    with torch.no_grad():
        linear_topk(x, packed, None, 3)


def test_gradients_reach_x_through_a_frozen_weight(make: SimpleNamespace) -> None:
    x, weight = make.reals(5, 4).requires_grad_(), make.reals(40, 4)
    pull = make.reals(5, 3)
    found = [
        torch.autograd.grad((linear_topk(x, w, None, 3).values * pull).sum(), x)[0]
        for w in (weight, pack(weight))
    ]
    assert torch.equal(*found)


def test_pack_refuses_what_no_scan_takes() -> None:
    with pytest.raises(ValueError, match="weight: expected 2 dimensions"):
        pack(torch.ones(4))
    with pytest.raises(TypeError, match="weight: expected float32"):
        pack(torch.ones(4, 4, dtype=torch.int8))
