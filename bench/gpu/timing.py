"""Times a call on the device: whole, and kernel by kernel."""

import time
from statistics import quantiles

from torch.profiler import ProfilerActivity, profile

from ..clock import Call
from .records import Record
from .setting import Setting

ROUNDS = 10
MOST_KERNELS = 8


def timed(setting: Setting, call: Call) -> Record:
    """Return the median milliseconds of a call, and the 20th and 80th percentile."""
    end = time.monotonic() + setting.seconds
    seconds = setting.clock.samples({"": call}, ROUNDS, lambda: time.monotonic() > end)[""]
    cuts = quantiles(seconds, n=10, method="inclusive")
    ms, p20, p80 = (round(1e3 * cuts[tenth - 1], 4) for tenth in (5, 2, 8))
    return {"ms": ms, "p20": p20, "p80": p80, "rounds": len(seconds)}


def by_kernel(setting: Setting, call: Call) -> Record:
    """Return the milliseconds of a call, and {kernel: [milliseconds, launches]} of its kernels."""
    facts = timed(setting, call)
    on_gpu = setting.device.type == "cuda"
    kind = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[kind]) as found:
        call()
        setting.clock.synchronize()
    own = f"self_{'device' if on_gpu else 'cpu'}_time_total"
    rows = [(e.key, getattr(e, own) / 1e3, e.count) for e in found.key_averages()]
    rows = sorted((row for row in rows if row[1] > 0), key=lambda row: -row[1])[:MOST_KERNELS]
    return facts | {"kernels": {name[:70]: [round(ms, 4), count] for name, ms, count in rows}}


def rate(operations: float, facts: Record) -> Record:
    """Return facts with the TFLOP/s of so many operations."""
    return facts | {"TFLOP_s": round(operations / max(facts["ms"], 1e-9) / 1e9, 1)}
