"""Makes the keys of Triton's cache the same in every process.

In Triton 3.6 a kernel's key has the constants of a function that it calls only if somebody asked
for that function's own key before. So the key depends on what else the process did, and a process
can miss a kernel that is in the cache. All keys are therefore asked for at once, in one order.
"""

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

MODULES = (
    "autoencode.triton", "decode.triton", "grads.triton", "topk.triton.above",
    "topk.triton.pairs", "topk.triton.rescore", "topk.triton.rounding", "topk.triton.scan",
    "topk.triton.select",
)  # fmt: skip
"""Every module that has Triton kernels."""


@cache
def settle() -> MappingProxyType[str, Any]:
    """Ask for the keys of all kernels and their helpers, once in a process.

    Returns:
        The functions by their names, "module.function", in the order of their keys.

    """
    from triton.runtime.jit import JITFunction

    package = __name__.rpartition(".")[0]
    found = {
        f"{function.fn.__module__}.{function.fn.__name__}": function
        for name in MODULES
        for function in vars(import_module(f"{package}.{name}")).values()
        if isinstance(function, JITFunction)
    }
    ordered = {name: found[name] for name in sorted(found)}
    for function in ordered.values():
        assert function.cache_key
    return MappingProxyType(ordered)
