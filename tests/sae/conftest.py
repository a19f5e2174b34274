"""What all tests of this room share."""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut could tell the difference, and no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def _dense_fvu(x: Tensor, parameters: dict[str, Tensor], k: int) -> Tensor:
    centred = x - parameters["b_dec"]
    scores = torch.relu(
        centred @ parameters["encoder.weight"].T + parameters["encoder.bias"]
    )  # (N, L)
    top = scores.topk(k, dim=1)
    codes = torch.zeros_like(scores).scatter(1, top.indices, top.values)
    error = codes @ parameters["W_dec"] + parameters["b_dec"] - x
    return error.square().sum() / (x - x.mean(dim=0)).square().sum()


@pytest.fixture
def dense_fvu() -> Callable[[Tensor, dict[str, Tensor], int], Tensor]:
    """The paper's loss written out with dense matrices, for autograd in any dtype."""
    return _dense_fvu
