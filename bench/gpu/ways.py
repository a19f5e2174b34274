"""The ways of doing each job of an autoencoder: our kernels, the ops of torch, and peers.

All ways of a job take the same tensors and return the same results, as `ours` does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from ...kernels.backends import Backend
from ..measurement import OURS, PRODUCT
from ..peers import GPU_PEERS, Peer, installed_peers
from ..problem import Problem
from . import torch_ways
from .ours import JOBS, PRICE
from .torch_ways import squared_length

ENCODE, BAG = "cuBLAS + torch.topk", "embedding_bag"


class Way(NamedTuple):
    """One way of doing a job."""

    name: str
    run: Callable[[], Any]
    ours: bool = False
    """Whether it calls our kernels."""
    compilable: bool = False
    """Whether torch.compile is tried on it, too."""


def ways_of(job: str, problem: Problem, backend: Backend) -> list[Way]:
    """Return all ways of a job: one of `TORCH`."""
    ours = Way(OURS, partial(JOBS[job], problem, backend), ours=True)
    return [ours, *TORCH[job](problem), *_peers(job, problem)]


def _encode(p: Problem) -> list[Way]:
    inputs = p.x, p.W_enc, p.b_enc, p.k
    product = p.x.new_empty(len(p.x), len(p.W_enc))
    return [
        Way(PRODUCT, lambda: torch.mm(p.x, p.W_enc.T, out=product)),
        Way(ENCODE, lambda: torch_ways.encode(*inputs), compilable=True),
        Way(f"chunked {ENCODE}", lambda: torch_ways.chunked_encode(*inputs)),
    ]


def _above(p: Problem) -> list[Way]:
    inputs = p.x, p.W_enc, p.b_enc, PRICE
    return [Way("cuBLAS + nonzero", lambda: torch_ways.dense_above(*inputs))]


def _decode(p: Problem) -> list[Way]:
    inputs = p.values, p.indices, p.W_dec, p.b_dec
    return [
        Way(BAG, lambda: [torch_ways.bag_decode(*inputs)], compilable=True),
        Way("gather and sum", lambda: [torch_ways.gather_decode(*inputs)], compilable=True),
    ]


def _autoencode(p: Problem) -> list[Way]:
    def run() -> torch_ways.Tensors:
        values, indices = torch_ways.encode(p.x, p.W_enc, p.b_enc, p.k)
        return [torch_ways.bag_decode(values, indices, p.W_dec, p.b_dec), values, indices]

    return [Way(f"{ENCODE} + {BAG}", run, compilable=True)]


def _grads(p: Problem) -> list[Way]:
    return [
        Way(f"{BAG}'s backward", torch_ways.bag_backward(p)),
        Way("scatter + cuBLAS", lambda: torch_ways.dense_grads(p), compilable=True),
    ]


def _step(p: Problem) -> list[Way]:
    return [Way(f"{ENCODE} + dense decoding, autograd", torch_ways.autograd_step(p))]


TORCH: dict[str, Callable[[Problem], list[Way]]] = {
    "encode": _encode,
    "above": _above,
    "decode": _decode,
    "autoencode": _autoencode,
    "grads": _grads,
    "step": _step,
}
"""The jobs that are timed side by side, and the ways of torch."""


def _peers(job: str, problem: Problem) -> list[Way]:
    """Return the ways of the peers that can do a job."""
    try:
        peers = installed_peers(problem.weights, GPU_PEERS, squared_length(problem.x))
    except Exception as error:  # it is raised again when the peers are timed, after ours
        return [Way("peers", partial(fail, error))]
    return [Way(peer.name, run) for peer in peers if (run := _peer_run(job, peer, problem))]


def _peer_run(job: str, peer: Peer, p: Problem) -> Callable[[], Any] | None:
    encode, decode = peer.encode, peer.decode
    if job == "encode" and encode is not None:
        return partial(encode, p.x)
    if job == "decode" and decode is not None:
        return lambda: [decode(p.values, p.indices)]
    if job == "step":
        return lambda: [peer.step(p.x)[name] for name in ("loss", "W_dec", "encoder_weight")]
    return None


def fail(error: Exception) -> Any:
    """Raise an error that was caught before."""
    raise error
