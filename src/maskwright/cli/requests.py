"""The options of `plan` and `train`, derived from the fields of `PlanRequest`. Knows no workflow in detail."""

from __future__ import annotations

import functools
import inspect
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.flags import READ_OPTIONS, REQUEST_OPTIONS
from maskwright.cli.options import read_options
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.core.options import Option

TYPES = {"budget": str, "steps": int, "epochs": float, "lora": int, "seed": int, "ignore": int, "nodata": float}
"""Types of the options; the others are text, or paths if the metavar is FILE or RUN."""


def takes_request(verb: Callable[..., int]) -> Callable[..., int]:
    """Give a verb that takes a `request` one option for each field of `PlanRequest`.

    The budget starts when the verb starts, so even its imports count.
    """
    own = inspect.signature(verb, eval_str=True).parameters
    options = {**_parameters(REQUEST_OPTIONS), **_parameters(READ_OPTIONS)}

    @functools.wraps(verb)
    def run(**values: Any) -> int:
        started = time.monotonic()
        given = {name: values.pop(name) for name in options}
        return verb(**values, request=_request(given, started))

    before = [entry for entry in own.values() if entry.default is entry.empty and entry.name != "request"]
    after = [entry for entry in own.values() if entry.default is not entry.empty]
    parameters = [*before, *after, *options.values()]
    signature = inspect.Signature(parameters, return_annotation=int)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return run


def option_of(name: str, option: Option) -> Any:
    """Return the type of an option as Typer reads it."""
    if option.repeatable:
        kind: Any = list[str]
    elif name in TYPES:
        kind = TYPES[name]
    else:
        from pathlib import Path

        kind = Path if option.metavar in {"FILE", "RUN"} else str
    return Annotated[kind | None, typer.Option(option.flag, metavar=option.metavar, help=option.help, min=option.least)]


def _parameters(options: Mapping[str, Option]) -> dict[str, inspect.Parameter]:
    return {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default="auto" if name == "device" else None,
            annotation=option_of(name, option),
        )
        for name, option in options.items()
    }


def _request(values: dict[str, Any], started: float) -> PlanRequest:
    """Build the request from the options' values."""
    reading = ("format", "classes", "ignore", "map", "nodata", "crowd", "between")
    read = read_options(*(values[name] for name in reading))
    plain = {name: value for name, value in values.items() if name in REQUEST_OPTIONS and value is not None}
    return PlanRequest(**{**plain, "settings": tuple(values["settings"] or ())}, read=read, started=started)
