"""`maskwright plan`: every decision about a training, with its value and reason. Decides nothing itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.flags import in_flags
from maskwright.cli.options import AsJson, Data
from maskwright.cli.requests import takes_request
from maskwright.cli.tables import Column, number, table
from maskwright.cli.terminal import Terminal
from maskwright.core.paths import check_file
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.core.plan import Plan

Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the plan to this file, for `maskwright train --plan`.")
]


@takes_request
def plan(data: Data, request: PlanRequest, out: Out = None, as_json: AsJson = False) -> int:
    """Plan a training run and give the reason for every decision.

    Measures the data and this machine, and prints each decision with its value and reason. Does not train.
    """
    terminal = Terminal(as_json=as_json)
    if out is not None:
        check_file(out, "plan.yaml")
    from maskwright.workflows.runs.preflight import check_training

    check_training(data, request)
    from maskwright.core.plan_file import write_plan
    from maskwright.workflows.plan import make_plan

    with terminal.working() as watch:
        result = make_plan(data, request, watch.counting("inspect"))
    for note in result.notes:
        terminal.say(note)
    made = result.plan
    if out is not None:
        write_plan(out, made)
        terminal.say(f"plan written to {out}")
    terminal.answer(made.model_dump(mode="json"))
    terminal.show(*plan_tables(made, terminal.width))
    return DONE


def plan_tables(made: Plan, width: int) -> list[RenderableType]:
    """Draw one row per decision, in the order of the sections of the plan."""
    from rich.text import Text

    values = leaves(made.model_dump(mode="json", exclude={"reasons"}))
    order = list(values)
    keys = sorted(made.reasons, key=lambda key: next((i for i, k in enumerate(order) if k.startswith(key)), len(order)))
    rows = [(key, values.get(key, ""), made.reasons[key]) for key in keys]
    parts: list[RenderableType] = [
        table(
            "Plan",
            [
                Column("decision", [key for key, _, _ in rows], kind="name"),
                Column("value", [short(value) for _, value, _ in rows], kind="prose"),
                Column("because", [in_flags(reason) for _, _, reason in rows], kind="prose"),
            ],
            width,
        )
    ]
    rest = sum(1 for key in values if not any(key.startswith(reason) for reason in made.reasons))
    parts.append(Text(f"{rest} other settings have their default values; --json or --out plan.yaml shows them."))
    return parts


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections and the options of the model to dotted keys, in order.

    >>> leaves({"optim": {"lr": 0.1}, "seed": 0})
    {'optim.lr': 0.1, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value and (not prefix or prefix + key == "model.options"):
            flat.update(leaves(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def short(value: Any) -> str:
    """Write a value briefly: floats with three digits, long lists with their first entries."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        shown = ", ".join(short(entry) for entry in value[:12])
        return f"[{shown}, ... {len(value)} in all]" if len(value) > 12 else f"[{shown}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(entry)}" for key, entry in value.items()) or "{}"
    return value if isinstance(value, str) else json.dumps(value)
