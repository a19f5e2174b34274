"""The pages' templates, their style, and how they write numbers."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ...common.files import atomic_write
from . import words


def write_page(folder: Path, template: str, variables: dict[str, object]) -> Path:
    """Write ``folder/report/index.html`` from a template of this package; return its path."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = words.percent
    environment.filters["count"] = words.count
    css = Markup(_resource("style.css"))
    html = environment.get_template(template).render(css=css, **variables)
    path = folder / "report" / "index.html"
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
