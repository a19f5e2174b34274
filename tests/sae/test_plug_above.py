"""Latents above thresholds and JumpReLU's straight-through gradients; no peer is needed."""

import pytest
import torch
from twinsae.sae.plug import above

N, D, L, WIDTH = 40, 6, 50, 0.4


@pytest.fixture
def p():
    g = torch.Generator().manual_seed(3)
    shapes = {"x": (N, D), "W": (L, D), "b": (L,), "V": (L, D), "c": (D,), "t": (L,)}
    return {name: torch.randn(s, generator=g).requires_grad_() for name, s in shapes.items()}


def dense(p, to_scores):
    """A loss of all values and steps, in float64; and its gradients by the paper's formulas."""
    q = {name: part.detach().double() for name, part in p.items()}
    scores = q["x"] @ q["W"].T + q["b"]
    active = (scores > q["t"]).double()
    values = scores * active
    error = values @ q["V"] + q["c"]
    loss = error.square().sum() + 3 * active.sum()
    window = ((scores - q["t"]).abs() < WIDTH / 2).double() / WIDTH
    d_values = 2 * error @ q["V"].T
    through = window * (q["t"] * d_values + 3)
    d_scores = active * d_values + to_scores * through
    gradients = {
        "x": d_scores @ q["W"], "W": d_scores.T @ q["x"], "b": d_scores.sum(0),
        "V": 2 * values.T @ error, "c": 2 * error.sum(0), "t": -through.sum(0),
    }  # fmt: skip
    return loss, values, gradients


def encode(p, threshold=None):
    threshold = p["t"] if threshold is None else threshold
    return above.encode_above(p["x"], p["W"], p["b"], threshold, WIDTH)


@pytest.mark.parametrize("to_scores", [False, True])
def test_values_and_gradients_are_those_of_the_dense_model(p, monkeypatch, to_scores):
    monkeypatch.setattr(above, "DENSE_SHARE", 1)
    found = encode(p)
    values, steps = above.jump(found.scores, found.thresholds, WIDTH, to_scores)
    loss = found.decode(values, p["V"], p["c"]).square().sum() + 3 * steps.sum()
    expected, codes, gradients = dense(p, to_scores)
    torch.testing.assert_close(loss.double(), expected)
    ours = torch.zeros(N, L).index_put((found.tokens, found.indices), values)
    torch.testing.assert_close(ours.double(), codes, rtol=1e-5, atol=1e-6)
    loss.backward()
    for name, gradient in gradients.items():
        torch.testing.assert_close(p[name].grad.double(), gradient, rtol=1e-4, atol=1e-3, msg=name)


@pytest.mark.parametrize("tokens", [0, 1, 15, N])
def test_many_that_matter_are_not_listed(p, tokens):
    """A tenth is the limit: of these thresholds most are out of reach."""
    p["x"] = p["x"][:tokens]
    low = torch.full((L,), 1e9).index_fill(0, torch.arange(4), -1e9)  # 8 %
    assert len(encode(p, low).scores) == 4 * tokens
    low[:6] = -1e9  # 12 %
    assert (encode(p, low) is None) == (tokens > 0)


def test_autocast_makes_the_product_in_its_dtype(p, monkeypatch):
    monkeypatch.setattr(above, "DENSE_SHARE", 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = encode(p)
        values, _ = above.jump(found.scores, found.thresholds, WIDTH)
        out = found.decode(values, p["V"], p["c"])
    assert found.scores.dtype == found.thresholds.dtype == torch.bfloat16
    assert out.dtype == torch.float32
    expected = dense(p, False)[1] @ p["V"].double() + p["c"].double()
    assert (out.double() - expected).norm() < 0.1 * expected.norm()
    out.sum().backward()
    assert p["W"].grad.dtype == p["t"].grad.dtype == torch.float32
