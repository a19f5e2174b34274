"""The JSON Schemas that are shipped, and the check of a document by one of them."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from ...common.packages import need

_SCHEMAS = {"twinsae-match/1": "match-1.json", "twinsae-report/1": "report-1.json"}
_LONGEST = 200  # letters of a message, which may quote the document


def schema(format_name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a format.

    Args:
        format_name: "twinsae-match/1", of ``summary.json`` of a matching, or "twinsae-report/1", of
            the facts of a report's manifest.

    Raises:
        ValueError: there is no schema of this name.
    """
    if format_name not in _SCHEMAS:
        known = ", ".join(_SCHEMAS)
        raise ValueError(f"format_name: expected one of {known}, got {format_name!r}")
    text = (
        files("twinsae.matching.schema").joinpath(_SCHEMAS[format_name]).read_text(encoding="utf-8")
    )
    content: dict[str, Any] = json.loads(text)
    return content


def schema_faults(content: object, format_name: str) -> Iterator[str]:
    """Yield in one line each what keeps a document from being of a format.

    Raises:
        ImportError: the package jsonschema is not installed.
    """
    need("a check by schemas", "jsonschema")
    from jsonschema import Draft202012Validator

    found = Draft202012Validator(schema(format_name)).iter_errors(content)
    for each in sorted(found, key=lambda one: [str(part) for part in one.absolute_path]):
        place = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in each.absolute_path
        )
        said = " ".join(each.message.split())
        shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
        yield f"{place.removeprefix('.') or 'the document'}: {shown}"
