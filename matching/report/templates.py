"""The pages' templates, their style, and how they write numbers."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ...common.files import atomic_write
from . import words


def write_page(folder: Path, template: str, variables: Mapping[str, object]) -> Path:
    """Write ``folder/report/index.html`` from a template of this package; return its path."""
    page = folder / "report" / "index.html"
    page.parent.mkdir(exist_ok=True)
    return write_template(page, template, {"css": Markup(_resource("style.css")), **variables})


def write_template(path: Path, template: str, variables: Mapping[str, object]) -> Path:
    """Write a page from a template of this package; return its path."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = words.percent
    environment.filters["count"] = words.count
    html = environment.get_template(template).render(**variables)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
