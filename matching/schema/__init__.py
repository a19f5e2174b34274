"""The formats of a matching and of a report: JSON Schemas, and what checks files against them."""

from .schemas import schema
from .validate import Validated, validate

__all__ = ["Validated", "schema", "validate"]
