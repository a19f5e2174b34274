"""The report page: one HTML file that needs nothing but itself."""

from pathlib import Path

from ...common.files import StrPath
from .content import content
from .data import read_match
from .panels import cosine_panels, joint_panel, training_panels
from .templates import write_page
from .training_log import find_run, read_run_of


def render(
    match_dir: StrPath, *, run: StrPath | None = None, baseline: StrPath | None = None
) -> Path:
    """Write ``match_dir/report/index.html``, one self-contained page about a matching.

    The same files give the same bytes. The figures are those of the paper's Fig 1 and threshold
    sweep (arXiv 2501.16615), histograms of matched cosines, and training curves.

    Args:
        match_dir: a folder written by ``match_files``.
        run: a folder written by ``train``, whose ``log.jsonl`` gives the training curves; by
            default it is looked for around input A, at most four folders up.
        baseline: another match folder, of untrained SAEs, shown beside.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: a folder lacks its ``summary.json``, a matching, or its ``log.jsonl``.
        ValueError: one of those files is damaged or does not fit.
    """
    match = read_match(Path(match_dir))
    untrained = None if baseline is None else read_match(Path(baseline))
    if untrained is not None and untrained.threshold != match.threshold:
        raise ValueError(
            f"{untrained.path} counts at threshold {untrained.threshold}, "
            f"expected {match.threshold} as in {match.path}"
        )
    input_a = Path(match.summary["inputs"]["a"]["path"])
    run_folder = find_run(input_a) if run is None else Path(run)
    log = None if run_folder is None else read_run_of(run_folder, input_a)
    variables = content(match, untrained, log) | {
        "joint": joint_panel(match),
        "cosines": cosine_panels(match, untrained),
        "training": training_panels(match, log),
    }
    return write_page(Path(match_dir), "template.html", variables)
