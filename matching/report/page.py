"""The report page: one HTML file that needs nothing but itself."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ...common.files import StrPath, atomic_write
from . import words
from .content import content
from .data import find_run, read_log, read_match
from .panels import cosine_panels, joint_panel, training_panels


def render(
    match_dir: StrPath, *, run: StrPath | None = None, baseline: StrPath | None = None
) -> Path:
    """Write ``match_dir/report/index.html``, one self-contained page about a matching.

    The same files give the same bytes. The figures are those of the paper's Fig 1 and threshold
    sweep (arXiv 2501.16615), histograms of matched cosines, and training curves.

    Args:
        match_dir: a folder written by ``match_files``.
        run: a folder written by ``train``, whose ``log.jsonl`` gives the training curves; by
            default it is looked for around input A, at most three folders up.
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
    log = None if run_folder is None else read_log(run_folder, input_a)
    html = (
        _environment()
        .from_string(_resource("template.html"))
        .render(
            css=Markup(_resource("style.css")),
            joint=joint_panel(match),
            cosines=cosine_panels(match, untrained),
            training=training_panels(match, log),
            **content(match, untrained, log),
        )
    )
    path = Path(match_dir) / "report" / "index.html"
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = words.percent
    environment.filters["count"] = words.count
    return environment
