"""The template engine of the report. Knows no part of the page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def page_engine() -> Environment:
    """Return the engine for the templates of the report; it escapes all text."""
    return Environment(
        loader=PackageLoader("maskwright.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
