"""`maskwright models`: the architectures and backbones there are. The catalogs live in `models`."""

from __future__ import annotations

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.tables import Column, table
from maskwright.cli.terminal import Terminal


def models(as_json: AsJson = False) -> int:
    """List the architectures and backbones."""
    from maskwright.models import BACKBONES, MODELS

    terminal = Terminal(as_json=as_json)
    architectures = {
        name: {
            "summary": entry.summary,
            "year": entry.year,
            "default_backbone": entry.default_backbone,
            "paper": entry.paper,
            "url": entry.url,
        }
        for name, entry in MODELS.items()
    }
    backbones = {name: {"summary": entry.summary} for name, entry in BACKBONES.items()}
    terminal.answer({"models": architectures, "backbones": backbones})
    rows = list(architectures.values())
    terminal.show(
        table(
            "Architectures (--model NAME, or --set model.name=NAME)",
            [
                Column("name", list(architectures), kind="name"),
                Column("what it is", [str(row["summary"]) for row in rows], kind="prose"),
                Column("year", [str(row["year"]) for row in rows], rank=1),
                Column("backbone", [str(row["default_backbone"]) for row in rows], rank=2, kind="name"),
                Column("paper", [str(row["paper"]) for row in rows], kind="prose", rank=3),
                Column("url", [str(row["url"]) for row in rows], rank=4, kind="name"),
            ],
            terminal.width,
        ),
        table(
            "Backbones (--set model.backbone=NAME)",
            [
                Column("name", list(backbones), kind="name"),
                Column("what it is", [str(row["summary"]) for row in backbones.values()], kind="prose"),
            ],
            terminal.width,
        ),
        "\nAny timm backbone with features_only works too: model.backbone=timm:NAME",
    )
    return DONE
