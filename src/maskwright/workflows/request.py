"""What a user asks for, before anything is decided. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from maskwright.core.durations import check_lengths
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import meets, named, read_plan, yaml_value
from maskwright.data.formats import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_BUDGET_SECONDS = 600.0
_SAME = (
    ("model", "--model", "model.name"),
    ("backbone", "--backbone", "model.backbone"),
    ("weights", "--weights", "model.weights"),
    ("steps", "--steps", "train.steps"),
    ("budget_seconds", "--budget", "train.budget_seconds"),
    ("seed", "--seed", "seed"),
    ("group_by", "--group-by", "split.group_by"),
)
"""Wishes that `--set` can say too: field, option, key of the plan."""


@dataclass(frozen=True)
class PlanRequest:
    """The user's wishes; what is left open is planned.

    Attributes:
        budget_seconds: for the whole command. At most one of `budget_seconds`, `steps` and `epochs` is given; without
            any, what `settings` or `plan_file` say; without those, ten minutes.
        steps: exactly so many optimiser steps.
        epochs: as many steps as show every training image so often.
        model: name of the architecture.
        backbone: its name, or `timm:NAME`.
        weights: file of the backbone's weights to start from: safetensors, or what `torch.save` wrote.
        settings: `section.key=value`, as in `--set`.
        typed: setting -> the option by which the user gave it, where that was not `--set`; for messages.
        plan_file: take what this plan names, or that of this run folder; what it leaves out is planned.
        from_run: start from the model of this run (its folder, or a `model.safetensors`); its classes may be others.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        seed: of everything random; None for the plan file's, or 0.
        group_by: regular expression that finds the group in a record's id.
        read: how to read the data.
        started: `time.monotonic()` at which the budget began to run; now, when None.
    """

    budget_seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None
    model: str | None = None
    backbone: str | None = None
    weights: Path | None = None
    settings: tuple[str, ...] = ()
    typed: Mapping[str, str] = field(default_factory=dict)
    plan_file: Path | None = None
    from_run: Path | None = None
    device: str = "auto"
    seed: int | None = None
    group_by: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    started: float | None = None

    def __post_init__(self) -> None:
        """Refuse two lengths, two values for one key, and numbers that mean nothing.

        Raises:
            MaskwrightError: such a wish.
        """
        check_lengths({name: getattr(self, name) for name in ("budget_seconds", "steps", "epochs")})
        if self.seed is not None and self.seed < 0:
            raise MaskwrightError(f"seed is {self.seed}, and it must be 0 or more: leave it out, or give e.g. 0")
        values = {key.strip(): text.strip() for key, _, text in (setting.partition("=") for setting in self.settings)}
        if self.from_run is not None and self.weights is not None:
            raise MaskwrightError(
                f"--from {self.from_run} and --weights {self.weights} each say what to start from: keep one of them"
            )
        for name, option, key in _SAME:
            wish = getattr(self, name)
            wish = str(wish) if name == "weights" and wish is not None else wish
            if wish is not None and key in values and wish not in (values[key], yaml_value(values[key])):
                said = f"{wish:g}" if isinstance(wish, float) else wish
                raise MaskwrightError(
                    f"{option} {said} and --set {key}={values[key]} contradict each other: keep one of them"
                )

    def said(self, key: str) -> str:
        """Return how the user set `key`: `--freeze backbone`, `--set lora.rank=4`; or where else it comes from."""
        for setting in reversed(self.settings):  # the last one holds
            if meets(setting.partition("=")[0].strip(), key):
                return self.typed.get(setting, f"--set {setting}")
        for name, option, same in _SAME:
            if same == key and getattr(self, name) is not None:
                return f"{option} {getattr(self, name)}"
        if self.plan_file is not None and any(meets(held, key) for held in named(read_plan(self.plan_file))):
            return f"{key} of {self.plan_file}"
        return key


@dataclass(frozen=True)
class EvaluateRequest:
    """On what a trained model is judged, and how.

    Attributes:
        split: `train`, `val`, `test`, or `all` for every labelled image.
        read: how to read the data; None for how the training read its own.
        out: folder for `metrics-SPLIT.json` and `report-SPLIT.html`; None for the run folder.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        output_stride: of the network, where that can be changed; None for what the model says.
        crf: let a dense CRF follow the network, and compare. Where the model holds no parameters of it, they are
            fitted on validation images, and the model file is written anew to keep them.
        refit: with `crf`: fit them, also where the model holds some.
    """

    split: str = "test"
    read: ReadOptions | None = None
    out: Path | None = None
    device: str = "auto"
    output_stride: int | None = None
    crf: bool = False
    refit: bool = False


def check_resume(request: PlanRequest, out: Path | None) -> None:
    """Refuse what a resumed run, which keeps its own plan and folder, could not honour.

    Raises:
        MaskwrightError: a wish beyond the device, or a folder.
    """
    usual, heeded = PlanRequest(), {"device", "started"}
    names = [entry.name for entry in fields(PlanRequest) if entry.name not in heeded]
    given = [name for name in names if getattr(request, name) != getattr(usual, name)]
    if out is not None:
        given.append("out")
    if given:
        raise MaskwrightError(
            f"resume goes on with the run's own plan, so that the result stays the same: leave out {', '.join(given)}, "
            "or start a new run without resume"
        )
