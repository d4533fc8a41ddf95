"""`maskwright models`: list architectures and backbones with their cost. The catalogs are in `models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.tables import Column, number, table
from maskwright.cli.terminal import Terminal
from maskwright.core.text import plural

if TYPE_CHECKING:
    from rich.console import RenderableType

Measure = Annotated[
    bool,
    typer.Option("--measure", help="Time a prediction with each architecture on this machine, at 512x512 in float32."),
]


def models(measure: Measure = False, as_json: AsJson = False) -> int:
    """List the architectures, with their cost, and the backbones."""
    from maskwright.models import BACKBONES, MODELS, OBJECT_MODELS, PIXEL_MODELS, cost

    terminal = Terminal(as_json=as_json)
    architectures: dict[str, dict[str, Any]] = {}
    for name, entry in (*MODELS.items(), *OBJECT_MODELS.items(), *PIXEL_MODELS.items()):
        counted = cost.cost_of(name)
        architectures[name] = {
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
            terminal.say(f"measuring {name}")
            architectures[name]["milliseconds"] = round(cost.milliseconds_of(name), 1)
    backbones = {name: {"summary": entry.summary} for name, entry in BACKBONES.items()}
    measured = {"side": cost.SIDE, "classes": cost.CLASSES, "threads": cost.threads() if measure else None}
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
