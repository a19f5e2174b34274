"""The summary of `twinsae bench gpu`: what one sees of a run on a machine that is soon gone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...bench.gpu.expectations import ceilings_of, expectations, facts_of
from ...bench.gpu.records import Record

MOST = 5_900  # letters of the whole summary
WRITTEN = ("gpu.json", "gpu.md", "gpu.svg", "steps.jsonl", "log.txt")


def summary(
    stages: Sequence[Record], steps: Sequence[Record], cut: Sequence[str], out: Path
) -> str:
    """Return the most important results in fewer than 6,000 letters."""
    lines = [*_stages(stages), *_machine(steps), *_problems(steps, cut)]
    for of_stage in (_goals, _matches, _times, _kernels):
        lines += of_stage(steps)
    # There is no plot without matplotlib, which a bare machine lacks.
    written = [name for name in WRITTEN if (out / name).is_file()]
    last = f"All results: {out}/{', '.join(written)}"
    text = "\n".join(lines)
    room = MOST - len(last)
    if len(text) > room:
        text = text[: room - 40].rpartition("\n")[0] + "\n(the rest is in gpu.md)"
    return f"{text}\n{last}"


def _stages(stages: Sequence[Record]) -> Iterator[str]:
    told = []
    for r in stages:
        ended = "" if r["outcome"] == "done" else f" {r['outcome']}"
        tries = f" in {r['tries']} processes" if r.get("tries", 1) > 1 else ""
        told.append(f"{r['stage']} {r.get('seconds', 0):.0f} s{ended}{tries}")
    yield "Stages: " + ", ".join(told)


def _machine(steps: Sequence[Record]) -> Iterator[str]:
    for r in steps:
        if r["stage"] == "env" and r["step"] == "versions" and "device" in r:
            told = f"{r['device']}, Python {r['python']}, {', '.join(r['versions'])}"
            yield _short(told, 300)
            if r["rehearsal"]:
                yield "THIS WAS A REHEARSAL: its times mean nothing."
    rates = [
        f"{r['step']} {r.get('TB_s') or r['TFLOP_s']}"
        for r in steps
        if r["stage"] == "env" and "ms" in r
    ]
    if rates:
        yield "Ceilings, TB/s and TFLOP/s: " + ", ".join(rates)
    calls = [r["first_call_s"] for r in steps if "first_call_s" in r]
    if calls:
        yield f"Compiled: {len(calls)} calls, {sum(calls):.0f} s in all, at most {max(calls):.1f} s"


def _problems(steps: Sequence[Record], cut: Sequence[str]) -> Iterator[str]:
    wrong = [r for r in steps if "problem" in r]
    checked = [r for r in steps if r["stage"] in ("checks", "big")]
    right = sum("problem" not in r and "left_out" not in r for r in checked)
    told = ", ".join(r["tests"] for r in checked if "tests" in r)
    yield f"Checks: {right} of {len(checked)} steps right{'; pytest: ' + told if told else ''}"
    for r in steps:
        if "left_out" in r:
            yield _short(f"  left out: {r['stage']}: {r['step']}: {r['left_out']}", 160)
    for r in wrong[:10]:
        whose = "WRONG" if r["ours"] else "peer"
        yield _short(f"  {whose}: {r['stage']}: {r['step']}: {r['problem']}", 200)
    if len(wrong) > 10:
        yield f"  and {len(wrong) - 10} more"
    if cut:
        yield _short("Not finished: " + "; ".join(cut), 400)


def _goals(steps: Sequence[Record]) -> Iterator[str]:
    if any(r.get("rehearsal") for r in steps):
        return
    facts = facts_of(steps)
    ceilings = ceilings_of(facts)
    for row in expectations():
        measured, most = row.measured(facts), row.most(ceilings, facts)
        if row.goal and measured is not None and most is not None:
            met = "met" if measured <= most else "NOT MET"
            yield (
                f"Goal, {row.step}: {row.goal.text}, {_ms(most)} ms: {met} with {_ms(measured)} ms"
            )


def _matches(steps: Sequence[Record]) -> Iterator[str]:
    for r in steps:
        if r["stage"] == "match" and "seconds" in r:
            phases = ", ".join(f"{name} {s:.1f}" for name, s in r["phases"].items())
            yield _short(
                f"{r['step']}: {r['seconds']} s, certified, gap {r['gap']:.1e} ({phases}), "
                f"device {r['device_GiB']} GiB; {r['found']}", 320,
            )  # fmt: skip


def _times(steps: Sequence[Record]) -> Iterator[str]:
    """Give each job a line: the milliseconds of all ways."""
    jobs: dict[str, list[str]] = {}
    for r in steps:
        if r["stage"] in ("times", "inductor") and "ms" in r:
            job, _, way = r["step"].partition(": ")
            jobs.setdefault(job, []).append(f"{way} {_ms(r['ms'])}")
    if jobs:
        yield "Milliseconds beside torch and peers:"
    for job, ways in jobs.items():
        yield _short(f"  {job}: {'; '.join(ways)}", 300)


def _kernels(steps: Sequence[Record]) -> Iterator[str]:
    """Give each call of a kernel a line, with the dearest kernels on the device."""
    own = [r for r in steps if r["stage"] in ("parts", "float32") and "ms" in r]
    if own:
        yield "Milliseconds of our calls (kernel, milliseconds, launches):"
    for r in own:
        kernels = [f"{name[:20]} {_ms(ms)} {n}" for name, (ms, n) in list(r["kernels"].items())[:3]]
        yield _short(f"  {r['step']}: {_ms(r['ms'])} ({', '.join(kernels)})", 150)


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
