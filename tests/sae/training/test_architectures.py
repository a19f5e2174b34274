"""The gradients of every architecture against autograd of a dense model in float64.

The dense model is written here anew from the papers that the architectures' files cite; the step
functions' derivatives, which autograd does not know, are the rectangles of arXiv 2407.14435.
"""

import copy
from dataclasses import dataclass

import pytest
import torch
from twinsae.sae import SAE, SAEConfig, TrainConfig
from twinsae.sae.loss import total_variance
from twinsae.sae.training.architectures import Batch, architecture
from twinsae.sae.training.architectures import thresholded as thresholded_file
from twinsae.sae.training.architectures.batch_topk import batch_topk
from twinsae.sae.training.gradients import Gradients
from twinsae.sae.training.optimizer import Optimizer
from twinsae.sae.training.stack import EncoderStack


class Step(torch.autograd.Function):
    """[s > t]; its derivative for t is minus a rectangle, and for s plus that, if so asked."""

    @staticmethod
    def forward(ctx, s, t, width, to_input):
        ctx.save_for_backward(s, t)
        ctx.width, ctx.to_input = width, to_input
        return (s > t).to(s.dtype)

    @staticmethod
    def backward(ctx, d):
        s, t = ctx.saved_tensors
        window = ((s - t).abs() < ctx.width / 2).to(s.dtype) / ctx.width
        return d * window if ctx.to_input else None, (-d * window).sum(0), None, None


class Jump(torch.autograd.Function):
    """s [s > t], whose step has the same derivatives."""

    @staticmethod
    def forward(ctx, s, t, width, to_input):
        ctx.save_for_backward(s, t)
        ctx.width, ctx.to_input = width, to_input
        return s * (s > t)

    @staticmethod
    def backward(ctx, d):
        s, t = ctx.saved_tensors
        window = ((s - t).abs() < ctx.width / 2).to(s.dtype) / ctx.width
        d_s = d * (s > t) + (d * t * window if ctx.to_input else 0)
        return d_s, (-d * t * window).sum(0), None, None


@dataclass
class Problem:
    sae: SAE
    config: TrainConfig
    batch: Batch


def problem(activation, *, rows=24, d_in=6, latents=20, k=4, seed=0, **settings):
    """Return an SAE with random parameters, and a batch; settings of SAEConfig and TrainConfig."""
    generator = torch.Generator().manual_seed(seed)
    shape = {name: settings.pop(name) for name in SHAPES if name in settings}
    sae_config = SAEConfig(d_in, latents, k=k, activation=activation, **shape)
    if activation in ("relu", "gated", "jumprelu"):
        settings = {"sparsity": 0.3} | settings
    config = TrainConfig(**settings)
    sae = SAE(sae_config, seed=1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator).double()
        if sae.threshold is not None:
            sae.threshold.abs_()
        if sae_config.normalize_decoder:
            sae.normalize_decoder()
    x = torch.randn(rows, d_in, generator=generator).double()
    target = x
    if sae_config.transcode:
        target = torch.randn(rows, sae_config.out_width, generator=generator).double()
    dead = torch.rand(latents, generator=generator) < 0.5
    return Problem(sae, config, Batch(x, target, total_variance(target), dead, config.sparsity))


SHAPES = ("prefixes", "normalize_decoder", "transcode", "skip_connection", "d_out")


def ours(given, *, dense=False):
    sae, batch = given.sae, given.batch
    kind = architecture(sae.config, given.config)
    if "share" in kind.state:
        kind.state["share"] = 1.0 if dense else 0.0
    stacked = None
    if kind.stacked_k:
        stack = EncoderStack([sae])
        (stacked,) = stack.encode(batch.x, kind.stacked_k)
    with torch.no_grad():
        gradients = Gradients(sae)
        losses = kind.backward(sae, batch, stacked, gradients)
        return losses, gradients.written()


def dense_loss(given):
    """Return the loss, its FVU and which latents are active (N, L), of the dense model."""
    sae, config, batch = given.sae, given.config, given.batch
    shape, p = sae.config, dict(sae.named_parameters())
    x, y, variance = batch.x, batch.target, batch.variance
    seen = x if shape.transcode else x - p["b_dec"]
    scores = seen @ p["encoder.weight"].T + p["encoder.bias"]
    norms = 1.0 if shape.normalize_decoder else p["W_dec"].norm(dim=1)
    positive = scores.relu()
    skip = x @ p["W_skip"].T if shape.skip_connection else 0

    def fvu(codes, weight=None, bias=None):
        weight = p["W_dec"] if weight is None else weight
        bias = p["b_dec"] if bias is None else bias
        return (codes @ weight + bias + skip - y).square().sum() / variance

    def largest(scores, k):
        chosen = torch.zeros_like(scores)
        return chosen.scatter(-1, scores.topk(k, dim=-1).indices, 1.0)

    extra = 0.0
    if shape.activation in ("topk", "batch_topk", "groupmax"):
        if shape.activation == "topk":
            codes = positive * largest(scores, shape.k)
        elif shape.activation == "batch_topk":
            flat = largest(positive.flatten(), shape.k * len(x))
            codes = positive * flat.view_as(positive)
        else:
            groups = scores.view(len(x), shape.k, -1)
            codes = positive * largest(groups, 1).view_as(positive)
        value = fvu(codes)
        for size in shape.prefixes[:-1]:
            extra = extra + fvu(codes[:, :size], p["W_dec"][:size])
        if config.multi_topk:
            extra = extra + config.multi_topk * fvu(positive * largest(scores, 4 * shape.k))
        if config.aux:
            missing = (y - codes @ p["W_dec"] - p["b_dec"] - skip).detach()
            dead = scores.masked_fill(~batch.dead, -torch.inf)
            wanted = config.aux_k or shape.d_in // 2
            number = int(batch.dead.sum())
            chosen = largest(dead, min(wanted, number))
            rebuilt = torch.where(chosen > 0, positive, 0.0) @ p["W_dec"]
            factor = config.aux * min(number / wanted, 1)
            extra = extra + factor * (rebuilt - missing).square().sum() / variance
    elif shape.activation == "relu":
        codes = positive
        value = fvu(codes)
        extra = batch.sparsity * (codes * norms).sum() / variance
    elif shape.activation == "gated":
        h = scores - p["encoder.bias"]
        codes = (scores > 0) * (p["r_mag"].exp() * h + p["mag_bias"]).relu()
        value = fvu(codes)
        frozen = (p["W_dec"].detach(), p["b_dec"].detach()) if shape.normalize_decoder else ()
        extra = fvu(positive, *frozen) + batch.sparsity * (positive * norms).sum() / variance
    else:
        how = p["threshold"], config.bandwidth, config.ste_to_input
        codes = Jump.apply(scores, *how)
        value = fvu(codes)
        counted = Step.apply(scores, *how)
        if config.penalty == "tanh":
            penalty = torch.tanh(4 * codes * norms).sum()
        elif config.target_l0:
            target = config.target_l0
            penalty = (2 / target * (counted.sum(1) - target) ** 2).sum()
        else:
            penalty = counted.sum()
        extra = batch.sparsity * penalty / variance
        if config.pre_act:
            short = ((p["threshold"] - scores).relu() * norms)[:, batch.dead]
            extra = extra + config.pre_act * short.sum() / variance
    return value + extra, value, codes > 0


CASES = {
    "topk": ("topk", {}),
    "topk, all latents": ("topk", {"k": 20}),
    "topk, one latent": ("topk", {"k": 1}),
    "topk, AuxK": ("topk", {"aux": 0.5}),
    "topk, AuxK of many": ("topk", {"aux": 0.5, "aux_k": 19}),
    "topk, Multi-TopK": ("topk", {"multi_topk": 0.125}),
    "topk, free norms": ("topk", {"normalize_decoder": False}),
    "topk, prefixes": ("topk", {"prefixes": (3, 4, 20), "aux": 0.5}),
    "batch_topk": ("batch_topk", {}),
    "batch_topk, more than are positive": ("batch_topk", {"k": 15}),
    "batch_topk, prefixes": ("batch_topk", {"prefixes": (1, 9, 20), "aux": 0.3}),
    "groupmax": ("groupmax", {}),
    "groupmax, AuxK": ("groupmax", {"aux": 0.5}),
    "relu": ("relu", {}),
    "relu, free norms": ("relu", {"normalize_decoder": False}),
    "gated": ("gated", {}),
    "gated, free norms": ("gated", {"normalize_decoder": False}),
    "jumprelu": ("jumprelu", {"bandwidth": 0.5}),
    "jumprelu, target": ("jumprelu", {"bandwidth": 0.5, "target_l0": 3.0}),
    "jumprelu, tanh": ("jumprelu", {"bandwidth": 0.5, "penalty": "tanh"}),
    "jumprelu, all of January 2025": (
        "jumprelu",
        {"bandwidth": 2.0, "penalty": "tanh", "ste_to_input": True, "pre_act": 0.1,
         "normalize_decoder": False},
    ),
    "jumprelu, to the input": ("jumprelu", {"bandwidth": 0.5, "ste_to_input": True}),
    "jumprelu, before the activation": ("jumprelu", {"bandwidth": 0.5, "pre_act": 0.2}),
}  # fmt: skip
TRANSCODER = {"transcode": True, "normalize_decoder": False, "skip_connection": True}


def check(given, *, dense):
    loss, fvu, active = dense_loss(given)
    names, parameters = zip(*given.sae.named_parameters(), strict=True)
    expected = torch.autograd.grad(loss, parameters, allow_unused=True)
    losses, found = ours(given, dense=dense)
    torch.testing.assert_close(losses.fvu, fvu.detach())
    total = losses.fvu + sum(losses.parts.values())
    torch.testing.assert_close(total, loss.detach())
    assert torch.equal(losses.fired, active.sum(0))
    for name, gradient in zip(names, expected, strict=True):
        if gradient is None:
            assert name == "threshold"
            assert name not in found
        else:
            torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("transcoder", [False, True], ids=["sae", "transcoder"])
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_autograd(case, transcoder):
    activation, settings = CASES[case]
    given = problem(activation, **settings | (TRANSCODER if transcoder else {}))
    check(given, dense=False)
    if activation in ("relu", "gated", "jumprelu"):
        check(given, dense=True)


@pytest.mark.parametrize("activation", ["relu", "gated", "jumprelu"])
def test_a_dense_step_in_several_blocks_is_the_same(monkeypatch, activation):
    given = problem(activation, rows=23, normalize_decoder=False, pre_act=0.0)
    monkeypatch.setattr(thresholded_file, "BLOCK_BYTES", 5 * 20 * 4)  # five rows
    check(given, dense=True)


@pytest.mark.parametrize("case", ["relu", "gated", "jumprelu", "batch_topk", "topk", "groupmax"])
def test_tokens_without_an_active_latent(case):
    activation, settings = CASES[case]
    given = problem(activation, **settings)
    with torch.no_grad():
        given.sae.encoder.bias -= 100
        if given.sae.mag_bias is not None:
            given.sae.mag_bias -= 100
    check(given, dense=False)
    losses, _ = ours(given)
    assert not losses.fired.any()


@pytest.mark.parametrize("floor", [None, 0.0, 0.5, 2.0, 100.0])
@pytest.mark.parametrize(("rows", "k"), [(0, 3), (1, 1), (23, 4), (23, 19), (23, 20)])
def test_batch_topk_keeps_the_largest_whatever_the_guess(rows, k, floor):
    """Integers make many ties: those of earlier tokens, and of lower latents, are kept."""
    generator = torch.Generator().manual_seed(rows + k)
    x = torch.randint(-3, 4, (rows, 5), generator=generator).float()
    weight = torch.randint(-3, 4, (20, 5), generator=generator).float()
    bias = torch.randint(-3, 4, (20,), generator=generator).float()
    scores = (x @ weight.T + bias).relu().flatten()
    order = scores.sort(descending=True, stable=True).indices[: rows * k]
    kept = torch.zeros_like(scores).index_fill(0, order, 1) * scores
    found = batch_topk(x, weight, bias, k, floor)
    row = torch.arange(rows).repeat_interleave(found.places.row_offsets.diff())
    assert (found.values > 0).all()
    dense = torch.zeros(rows, 20).index_put((row, found.places.indices), found.values)
    assert torch.equal(dense.flatten(), kept)


def steps(given, *, dense, number=3):
    """Return the parameters after some steps of Adam on one batch."""
    sae, config, batch = copy.deepcopy(given.sae), given.config, given.batch
    optimizer, kind = Optimizer(sae, config), architecture(sae.config, config)
    for step in range(1, number + 1):
        if "share" in kind.state:
            kind.state["share"] = 1.0 if dense else 0.0
        stacked = None
        if kind.stacked_k:
            (stacked,) = EncoderStack([sae]).encode(batch.x, kind.stacked_k)
        with torch.no_grad():
            gradients = Gradients(sae)
            kind.backward(sae, batch, stacked, gradients)
            optimizer.step(gradients, 1e-2, step)
            kind.after_step(sae)
    return dict(sae.named_parameters())


@pytest.mark.parametrize(("clip", "transcoder"), [(0.2, False), (0.0, True)])
@pytest.mark.parametrize("case", CASES)
def test_one_pass_moves_all_as_torchs_adam_does(monkeypatch, case, clip, transcoder):
    activation, settings = CASES[case]
    given = problem(activation, clip=clip, **settings | (TRANSCODER if transcoder else {}))
    for dense in {False, activation in ("relu", "gated", "jumprelu")}:
        with monkeypatch.context() as patch:
            one_pass = steps(given, dense=dense)
            patch.setattr(TrainConfig, "in_one_pass", False)
            written = steps(given, dense=dense)
        for name, parameter in written.items():
            torch.testing.assert_close(one_pass[name], parameter, rtol=1e-8, atol=1e-10, msg=name)
