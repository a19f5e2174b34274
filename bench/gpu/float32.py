"""Stage float32: the scans of float32 inputs, which float16 proposes and float32 decides."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from ...kernels.topk import MutualTopK, Pairs, linear_topk, mutual_topk, pack, pairs_above
from ..planted import planted_pair
from ..problem import Problem, Shape
from .gate import check_encode, check_mutual, check_pairs
from .records import Record
from .setting import Setting
from .steps import Steps
from .times import redone
from .timing import by_kernel, rate

CANDIDATES = 32  # m: partners of each latent, as in a match
PRICE = 0.35  # of a row and of a column; few cosines are above their sum
CAPACITY = 1 << 22  # pairs

Sides = tuple[Tensor, Tensor]


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    for shape in setting.shapes:
        name = f"D {shape.d_in} encode {torch.float32}"
        steps.run(name, partial(encode, setting, shape, False))
        steps.run(f"{name}, packed", partial(encode, setting, shape, True))
    sides = cache(partial(sides_of, setting))
    latents, d_in = setting.pairs
    steps.run(f"mutual_topk {latents} x {d_in}", partial(mutual, setting, sides))
    steps.run(f"pairs_above {latents} x {d_in}", partial(pairs, setting, sides))


def encode(setting: Setting, shape: Shape, packed: bool) -> Record:
    """Check and time the encoder."""
    problem = setting.problem(shape, torch.float32)
    call = encoder(setting, problem, packed)
    found = call()
    check_encode(problem, found)
    return redone(found) | by_kernel(setting, call)


def encoder(setting: Setting, problem: Problem, packed: bool) -> Callable[[], Any]:
    """Return a call of the encoder, with its weight packed beforehand or not."""
    weight = pack(problem.W_enc) if packed else problem.W_enc
    return lambda: linear_topk(
        problem.x, weight, problem.b_enc, problem.k, backend=setting.backend
    )  # fmt: skip


def sides_of(setting: Setting) -> Sides:
    """Return one block of a match: two planted dictionaries on the device."""
    made = planted_pair(*setting.pairs, device=setting.device)
    return made.a, made.b


def mutual(setting: Setting, planted: Callable[[], Sides]) -> Record:
    """Check the best partners of both sides, then time the call that a match makes."""
    sides = planted()
    check_mutual(*sides, best_partners(setting, sides, exact=True))
    found = best_partners(setting, sides)
    call = partial(best_partners, setting, sides)
    return redone(found) | rate(operations(sides), by_kernel(setting, call))


def pairs(setting: Setting, planted: Callable[[], Sides]) -> Record:
    """Check the list of the pairs above prices that few exceed, then time it."""
    sides = planted()
    check_pairs(*sides, listed_pairs(setting, sides, exact=True), 2 * PRICE)
    call = partial(listed_pairs, setting, sides)
    return {"listed": len(call().rows)} | rate(operations(sides), by_kernel(setting, call))


def best_partners(setting: Setting, sides: Sides, exact: bool = False) -> MutualTopK:
    """Call mutual_topk."""
    m = min(CANDIDATES, len(sides[0]))
    return mutual_topk(*sides, m, exact=exact, backend=setting.backend)


def listed_pairs(setting: Setting, sides: Sides, exact: bool = False) -> Pairs:
    """Call pairs_above."""
    a, b = sides
    prices = [torch.full((len(s),), PRICE, dtype=torch.float64, device=s.device) for s in sides]
    return pairs_above(
        a, b, *prices, margin=0.0, capacity=CAPACITY, exact=exact, backend=setting.backend
    )


def operations(sides: Sides) -> int:
    """Return the operations of the product of both sides."""
    return 2 * sides[0].numel() * len(sides[1])
