"""`metric_files`: the field's metrics of a match on disk, as one list and a table a side."""

import json
from importlib.metadata import version
from typing import Any

from ...common.files import StrPath, atomic_write
from ...common.progress import Progress, renamed, silent
from ...common.tables import save_table
from ...sae.formats.orientation import Orientation, Side
from ..match import Options, match_rows
from ..match_folder import OpenedMatch, OpenedSide, open_match
from ..rows import StoredRows
from .metrics import Metric, SideMetrics, alignment, alignment_metrics, side_metrics

FORMAT, TABLE_FORMAT = "twinsae-metrics/1", "twinsae-partners/1"
METRICS = "metrics.json"


def metric_files(
    folder: StrPath, *, orientation: Orientation | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Compute the metrics of `metrics` for each side of a match, and write them.

    ``folder/metrics.json`` holds what is returned and what it was made from. For each side,
    ``folder/<side>-partners.npz`` has a row a latent of A, with the columns of `SideMetrics`, and
    ``<side>-partners.json`` says what it was made from. The matching by absolute cosines is solved
    here, or, if the match in ``folder`` is that one, the matching by signed ones.

    Args:
        folder: what `match_files` wrote; its two SAEs must still be where they were.
        orientation: as for `match_files`, if the match needed one.
        progress: told how far each phase of each side has come.

    Returns:
        One ``{"side", "metric", "value", "called"}`` a number; the alignment of encoder and decoder
        has the side "both", and is left out where the match has one side or their widths differ.

    Raises:
        FileNotFoundError: there is no match, or one of its SAEs is gone.
        ValueError: a file is corrupt, an SAE has changed since, or `match` refuses the rows.
        OSError: a file could not be written.
    """
    opened = open_match(folder, orientation=orientation)
    source = {"twinsae": version("twinsae"), **opened.facts}
    found = []
    for side, given in opened.sides.items():
        computed = _of_side(given, renamed(progress or silent, before=f"{side} "))
        table = opened.folder / f"{side}-partners.npz"
        save_table(table, TABLE_FORMAT, computed.columns, source | {"side": side})
        found += [_row(side, metric) for metric in computed.metrics]
    found += [_row("both", metric) for metric in _alignments(opened)]
    content = {"format": FORMAT, **source, "metrics": found}
    with atomic_write(opened.folder / METRICS) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return found


def _of_side(given: OpenedSide, progress: Progress) -> SideMetrics:
    absolute = given.matching.absolute
    a, b = (_counted(side, not absolute) for side in (given.a, given.b))
    other = match_rows(a, b, Options(), progress)
    signed, unsigned = (other, given.matching) if absolute else (given.matching, other)
    rows = _counted(given.a, False), _counted(given.b, False)
    return side_metrics(*rows, signed, unsigned, renamed(progress, before="nearest "))


def _alignments(opened: OpenedMatch) -> list[Metric]:
    """Return how well each SAE's own encoder and decoder agree, if the match has both."""
    if len(opened.sides) < 2:
        return []
    decoder, encoder = opened.sides["decoder"], opened.sides["encoder"]
    if decoder.a.d_in != encoder.a.d_in:
        return []
    pairs = {"a": (decoder.a, encoder.a), "b": (decoder.b, encoder.b)}
    return [
        metric
        for name, (own, others) in pairs.items()
        for metric in alignment_metrics(
            name, alignment(_counted(own, False), _counted(others, False))
        )
    ]


def _counted(rows: StoredRows, absolute: bool) -> StoredRows:
    """Return the same rows, whose cosines count by their absolute values or with their signs."""
    return StoredRows(rows.matrix, rows.name, absolute)


def _row(side: Side | str, metric: Metric) -> dict[str, Any]:
    return {
        "side": side,
        "metric": metric.name,
        "value": metric.value,
        "called": metric.called,
    }
