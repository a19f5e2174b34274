"""The table of expectations: what a roofline predicts for each kernel, and what was measured.

`python -m twinsae.cli.bench.gpu_expectations RECORDS...` prints the page of the manual. RECORDS are
gpu.json files of `twinsae bench gpu`, or .jsonl files of steps; later ones replace earlier ones.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...bench.gpu.expectations import ceilings_of, expectations, facts_of, load
from ...bench.gpu.records import Record
from .markdown import markdown_table

INTRODUCTION = """\
A command writes this table; nothing in it is typed by hand. *Predicted* is a roofline: the larger
of two times, that of the operations at the speed of a large square product and that of the bytes at
the speed of a copy. For kernels that run one after another it is their sum. Bytes are those that
must move. A row that is gathered for each token and latent counts each time, although some come
from the L2 cache, so a sparse kernel may be faster than predicted. Float32 inputs are scanned in
float16. Of a whole match, which is mostly work on the CPU, one product counts. *Measured* is the
median of a run of `twinsae bench gpu`; it is empty where nothing was measured."""
HEADER = (
    "kernel", "sizes", "dtype", "GB", "TFLOP", "predicted ms", "measured ms", "goal", "goal ms",
)  # fmt: skip
NUMBERS = {"GB", "TFLOP", "predicted ms", "measured ms", "goal ms"}


def expectations_text(records: Iterable[Record]) -> str:
    """Return the table with its introduction, in Markdown.

    Raises:
        ValueError: the records are those of a rehearsal.
    """
    facts = facts_of(records)
    ceilings = ceilings_of(facts)
    rows = []
    for row in expectations():
        measured, most = row.measured(facts), row.most(ceilings, facts)
        rows.append(
            (
                row.kernel,
                row.sizes,
                row.dtype,
                f"{sum(work.bytes for work in row.works) / 1e9:.2f}",
                f"{sum(work.operations for work in row.works) / 1e12:.2f}",
                _ms(row.predicted(ceilings)),
                "" if measured is None else _ms(measured),
                row.goal.text if row.goal else "",
                "" if most is None else _ms(most),
            )
        )
    limits = (
        f"Ceilings: a copy {ceilings['copy']:.2f} TB/s; square products in bfloat16 "
        f"{ceilings['bf16']:.0f}, float16 {ceilings['fp16']:.0f} and TF32 {ceilings['tf32']:.0f} "
        "TFLOP/s."
    )
    return "\n\n".join([INTRODUCTION, limits, markdown_table(HEADER, rows, NUMBERS)])


def main(files: Sequence[str]) -> None:
    """Print the page, filled from files."""
    records = [record for file in files for record in load(Path(file))]
    filled = ", ".join(Path(file).name for file in files) or "nothing"
    print(f"# GPU expectations\n\n{expectations_text(records)}\n\nFilled from: {filled}.")


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
