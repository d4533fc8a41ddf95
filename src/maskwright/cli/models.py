"""`maskwright models`: list architectures and backbones with their cost, or show one. The catalogs are in `models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.tables import Column, number, pairs, table
from maskwright.cli.terminal import Terminal
from maskwright.core.errors import unknown_name
from maskwright.core.text import plural

if TYPE_CHECKING:
    from rich.console import RenderableType

Name = Annotated[
    str | None, typer.Argument(metavar="NAME", help="Show this architecture, with its options.", show_default=False)
]
Measure = Annotated[
    bool,
    typer.Option("--measure", help="Time a prediction with each architecture on this machine, at 512x512 in float32."),
]


def models(name: Name = None, measure: Measure = False, as_json: AsJson = False) -> int:
    """List the architectures and backbones.

    Architectures are listed with their cost. NAME shows one of them, with its options.
    """
    from maskwright.models import BACKBONES, MODELS, OBJECT_MODELS, PIXEL_MODELS, cost, options_of

    terminal = Terminal(as_json=as_json)
    catalog = {**MODELS, **OBJECT_MODELS, **PIXEL_MODELS}
    if name is not None and name not in catalog:
        raise unknown_name("model", name, catalog)
    architectures: dict[str, dict[str, Any]] = {}
    for each in catalog if name is None else [name]:
        entry, counted = catalog[each], cost.cost_of(each)
        architectures[each] = {
            "summary": entry.summary,
            "year": entry.year,
            "default_backbone": entry.default_backbone,
            "paper": entry.paper,
            "url": entry.url,
            "tasks": None if entry.tasks is None else list(entry.tasks),
            "parameters": counted.parameters,
            "multiply_adds": counted.multiply_adds,
        }
        if measure:
            terminal.say(f"measuring {each}")
            architectures[each]["milliseconds"] = round(cost.milliseconds_of(each), 1)
    measured = {"side": cost.SIDE, "classes": cost.CLASSES, "threads": cost.threads() if measure else None}
    if name is not None:
        row = architectures[name] | {"options": options_of(name), "page": f"docs/models/{name}.md"}
        terminal.answer({"models": {name: row}, "cost": measured})
        terminal.show(*_one(name, row, f"{cost.SIDE}x{cost.SIDE}", terminal.width))
        return DONE
    backbones = {each: {"summary": entry.summary} for each, entry in BACKBONES.items()}
    terminal.answer({"models": architectures, "backbones": backbones, "cost": measured})
    terminal.show(
        _architectures(architectures, terminal.width),
        f"parameters and multiply-adds: for one image of {cost.SIDE}x{cost.SIDE} and {cost.CLASSES} classes, with "
        "the default backbone",
        *([f"ms: median of {cost.REPEATS} predictions, {_threads(cost.threads())}, float32"] if measure else []),
        table(
            "Backbones (--set model.backbone=NAME)",
            [
                Column("name", list(backbones), kind="name"),
                Column("description", [str(row["summary"]) for row in backbones.values()], kind="prose"),
            ],
            terminal.width,
        ),
        "\nAny timm backbone with features_only works too: model.backbone=timm:NAME",
    )
    return DONE


def _one(name: str, row: dict[str, Any], side: str, width: int) -> list[RenderableType]:
    """Draw one architecture, and its options with the default backbone."""
    options = row["options"]
    facts = [
        ("description", row["summary"]),
        ("paper", f"{row['paper']}, {row['year']}: {row['url']}"),
        ("tasks", "all" if row["tasks"] is None else ", ".join(row["tasks"])),
        ("backbone", row["default_backbone"]),
        ("parameters", f"{number(row['parameters'] / 1e6)} M"),
        ("multiply-adds", f"{number(row['multiply_adds'] / 1e9)} G for one image of {side}"),
        *([("ms", number(row["milliseconds"]))] if "milliseconds" in row else []),
        ("page", row["page"]),
    ]
    columns = [
        Column("option", list(options), kind="name"),
        Column("default", [_plain(value) for value in options.values()], kind="prose"),
    ]
    return [pairs(name, facts), table("Options (--set model.options.OPTION=VALUE)", columns, width)]


def _plain(value: Any) -> str:
    """Write a default as it can be set."""
    return value if isinstance(value, str) else json.dumps(value)


def _architectures(rows: dict[str, dict[str, Any]], width: int) -> RenderableType:
    """Draw the table of architectures."""
    entries = list(rows.values())
    columns = [
        Column("name", list(rows), kind="name"),
        Column("parameters", [f"{number(row['parameters'] / 1e6)} M" for row in entries], rank=1),
        Column("multiply-adds", [f"{number(row['multiply_adds'] / 1e9)} G" for row in entries], rank=1),
        Column("year", [str(row["year"]) for row in entries], rank=2),
        Column("backbone", [row["default_backbone"] for row in entries], rank=3, kind="name"),
        Column("description", [row["summary"] for row in entries], kind="prose", rank=4),
        Column("paper", [row["paper"] for row in entries], kind="prose", rank=5),
        Column("url", [row["url"] for row in entries], rank=6, kind="name"),
    ]
    if "milliseconds" in entries[0]:
        columns.insert(3, Column("ms", [number(row["milliseconds"]) for row in entries]))
    return table("Architectures (--model NAME, or --set model.name=NAME)", columns, width)


def _threads(count: int) -> str:
    return plural(count, "thread")
