"""`twinsae doctor --kernels`: what the GPU's kernels compile to, without a GPU."""

from rich.table import Table

from ..kernels import aot, aot_builds

NOTE = """\
Times are *predicted*: the larger of operations / peak and bytes / bandwidth (vendors' figures)
for N = {N:,} rows, D = {D:,}, L = {L:,} latents and k = {K}; matches are of L x L.
The page "GPU measurements" of the manual has what an H100 took."""


def kernels_table() -> tuple[Table, str]:
    """Compile the first configuration of each kernel for each GPU; return a table and a note."""
    columns = ("kernel", "GPU", "registers", "stack", "shared", "instructions", "predicted", "")
    table = Table(*columns, title="Kernels, compiled ahead of time")
    for found in aot.compile_all():
        table.add_row(
            found.build.name, f"{found.target.name} (sm_{found.target.arch})",
            str(found.registers), str(found.stack), f"{found.shared:,}",
            f"{found.instructions:,}", f"{found.predicted_seconds * 1e3:,.2f} ms",
            "; ".join(found.problems()) or "ok",
        )  # fmt: skip
    sizes = {name: getattr(aot_builds, name) for name in ("N", "D", "L", "K")}
    return table, NOTE.format(**sizes)
