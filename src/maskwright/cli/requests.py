"""The options of `plan` and `train` as one request. Knows the command line's words, and no workflow's inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.options import read_options
from maskwright.core.durations import check_lengths, parse_seconds
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.workflows.request import PlanRequest

Budget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time for the whole command, e.g. 90s, 10m, 1h30m.  [default: 10m]"),
]
Steps = Annotated[
    int | None, typer.Option(metavar="N", help="Exactly so many optimiser steps, instead of a time budget.")
]
Epochs = Annotated[
    float | None,
    typer.Option(metavar="N", help="As many steps as show each training image so many times, instead of a budget."),
]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="Architecture; `maskwright models` lists them.")]
Backbone = Annotated[
    str | None, typer.Option(metavar="NAME", help="Backbone under it, or timm:NAME for any of timm's.")
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Start the backbone from this file: safetensors, or a state dict in a .pth."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value of the plan: optim.lr=3e-4. Repeatable."),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Start from this plan.yaml instead of planning anew.")
]

FromRun = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="RUN", help="Start from the model of this run, or a model.safetensors; classes may differ."
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(metavar="WHAT", help="Leave the backbone as it is: none, backbone, or until-step=N for N steps."),
]
Lora = Annotated[
    int | None,
    typer.Option(metavar="RANK", help="Train changes of this rank (LoRA, e.g. 8) instead of the weights themselves."),
]

TAKEN_OVER = ("steps", "epochs", "model", "backbone", "weights", "plan_file", "from_run", "device", "seed", "group_by")
"""Options that are wishes as they stand."""


def plan_request(options: Mapping[str, Any], started: float) -> PlanRequest:
    """Bundle the options of `plan` or `train`, and refuse those that contradict each other.

    Args:
        options: the verb's `locals()`, that is its parameters by name: Typer wants a signature of its own in each
            verb, and this reads from it what the two have in common.
        started: `time.monotonic()` when the verb began, so that even the imports count against the budget.

    Raises:
        MaskwrightError: two lengths at once, a length that is none, or an option and a `--set` of the same.
    """
    from maskwright.workflows.request import PlanRequest

    read = read_options(*(options[name] for name in ("format_name", "classes", "ignore", "mapping")))
    seconds = budget_seconds(options["budget"], options["steps"], options["epochs"])
    settings = tuple(options["settings"] or ())
    typed = _typed(settings, options["freeze"], options["lora"])
    return PlanRequest(
        budget_seconds=seconds,
        settings=(*settings, *typed),
        typed=typed,
        read=read,
        started=started,
        **{name: options[name] for name in TAKEN_OVER},
    )


def budget_seconds(budget: str | None, steps: int | None, epochs: float | None = None) -> float | None:
    """Read `--budget`, and refuse what `check_lengths` refuses of it, `--steps` and `--epochs`.

    Raises:
        MaskwrightError: so it is.
    """
    seconds = None if budget is None else parse_seconds(budget)
    check_lengths({"--budget": seconds, "--steps": steps, "--epochs": epochs})
    return seconds


def _typed(settings: Sequence[str], freeze: str | None, lora: int | None) -> dict[str, str]:
    """Return the settings that `--freeze` and `--lora` stand for, each with how it was typed.

    Raises:
        MaskwrightError: an option and a `--set` of the same, or a rank that is none.
    """
    said = {setting.partition("=")[0].strip() for setting in settings}
    typed = {}
    if lora is not None:
        _check_rank(lora)
    for option, key, value in (("--freeze", "optim.freeze", freeze), ("--lora", "lora.rank", lora)):
        if value is not None:
            if key in said:
                raise MaskwrightError(f"{option} {value} and --set {key} say the same: keep one of them")
            typed[f"{key}={value}"] = f"{option} {value}"
    return typed


def _check_rank(lora: int) -> None:
    """Refuse here what the plan would refuse as `lora.rank`, of which who typed `--lora` need not know."""
    from pydantic import ValidationError

    from maskwright.core.plan import LoraPlan
    from maskwright.core.plan_schema import place_at

    try:
        LoraPlan(rank=lora)
    except ValidationError:
        rule = place_at(("lora", "rank")).words
        raise MaskwrightError(f"--lora {lora}: the rank must be {rule}: write e.g. --lora 8, or leave it out") from None
