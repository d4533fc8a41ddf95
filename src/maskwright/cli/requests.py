"""The options of `plan` and `train` as one request. Knows the command line's words, and no workflow's inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.core.durations import parse_seconds
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from maskwright.data.formats import ReadOptions
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


def plan_request(
    read: ReadOptions,
    *,
    lengths: tuple[str | None, int | None, float | None],
    model: str | None,
    settings: list[str] | None,
    plan_file: Path | None,
    machine: tuple[str, int | None, str | None],
    started: float,
) -> PlanRequest:
    """Bundle the options, and refuse those that contradict each other.

    Args:
        read: how the data is read.
        lengths: `--budget`, `--steps` and `--epochs`, of which one at most may be given.
        model: `--model`.
        settings: each `--set`.
        plan_file: `--plan`.
        machine: `--device`, `--seed` and `--group-by`.
        started: `time.monotonic()` when the verb began, so that even the imports count against the budget.

    Raises:
        MaskwrightError: two lengths at once, or a length that is none.
    """
    from maskwright.workflows.request import PlanRequest

    budget, steps, epochs = lengths
    check_lengths(budget, steps, epochs)
    device, seed, group_by = machine
    return PlanRequest(
        budget_seconds=None if budget is None else parse_seconds(budget),
        steps=steps,
        epochs=epochs,
        model=model,
        settings=tuple(settings or ()),
        plan_file=plan_file,
        device=device,
        seed=seed,
        group_by=group_by,
        read=read,
        started=started,
    )


def check_lengths(budget: str | None, steps: int | None, epochs: float | None = None) -> None:
    """Refuse more than one of `--budget`, `--steps` and `--epochs`, and one that trains nothing.

    Raises:
        MaskwrightError: so it is.
    """
    lengths = {"--budget": budget, "--steps": steps, "--epochs": epochs}
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) > 1:
        raise MaskwrightError(f"{' and '.join(given)} each say how long training lasts: keep one of them")
    if budget is not None:
        parse_seconds(budget)
    for name, count, usual in (("--steps", steps, 500), ("--epochs", epochs, 20)):
        if count is not None and not count > 0:
            raise MaskwrightError(f"{name} {count:g} trains nothing: give a number above 0, e.g. {name} {usual}")


def transferring(request: PlanRequest, from_run: Path | None, freeze: str | None, lora: int | None) -> PlanRequest:
    """Add where a training starts from and what of it is trained.

    Raises:
        MaskwrightError: an option and a `--set` of the same.
    """
    said = {setting.partition("=")[0].strip() for setting in request.settings}
    settings, typed = list(request.settings), {}
    for option, key, value in (("--freeze", "optim.freeze", freeze), ("--lora", "lora.rank", lora)):
        if value is not None:
            if key in said:
                raise MaskwrightError(f"{option} {value} and --set {key} say the same: keep one of them")
            settings.append(f"{key}={value}")
            typed[settings[-1]] = f"{option} {value}"
    return replace(request, from_run=from_run, settings=tuple(settings), typed=typed)
