"""What a user requests, before anything is decided. The command line derives its options from these fields.

Importing this module is quick: YAML and the schema of the plan are imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.durations import check_lengths, parse_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.options import Option
from maskwright.core.read_options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DEFAULT_BUDGET_SECONDS = 600.0


def _option(*arguments: Any, **settings: Any) -> dict[str, Any]:
    return Option(*arguments, **settings).metadata


@dataclass(frozen=True)
class PlanRequest:
    """What the user requests of a training; everything else is planned.

    Attributes:
        budget: time for the whole command, `10m` or seconds. Give at most one of `budget`, `steps` and `epochs`;
            without any, `settings` or `plan_file` decide; without those, ten minutes.
        steps: exact number of optimiser steps.
        epochs: how often to show every training image.
        task: name in `tasks.TASKS`.
        model: name of the architecture.
        backbone: its name, or `timm:NAME`.
        weights: file of the backbone's weights to start from: safetensors, or what `torch.save` wrote.
        settings: `section.key=value` in YAML, for any value of the plan.
        plan_file: plan, or run folder with one, whose values are used; values that it leaves out are planned.
        from_run: start from the model of this run (its folder, or a `model.safetensors`); its classes may differ.
        freeze: `none`, `backbone`, or `until-step=N`.
        lora: rank of low-rank updates to train instead of the weights.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        seed: random seed; None for the seed of the plan file, or 0.
        group_by: regular expression that finds the group in a record's id.
        read: how to read the data.
        started: `time.monotonic()` at which the budget started; None for now.

    Raises:
        MaskwrightError: two lengths, two values for one key, or an invalid number.
    """

    budget: str | float | None = field(
        default=None,
        metadata=_option(
            "--budget",
            "TIME",
            "Time for the whole command, e.g. 90s, 10m, 1h30m.  [default: 10m]",
            "train.budget_seconds",
        ),
    )
    steps: int | None = field(
        default=None,
        metadata=_option("--steps", "N", "Exact number of optimiser steps, instead of a time budget.", "train.steps"),
    )
    epochs: float | None = field(
        default=None,
        metadata=_option("--epochs", "N", "Number of times to show each training image, instead of a time budget."),
    )
    task: str | None = field(
        default=None,
        metadata=_option(
            "--task",
            "NAME",
            "What the masks mean: semantic, instance, panoptic or edges.  [default: from the data]",
            "task",
        ),
    )
    model: str | None = field(
        default=None, metadata=_option("--model", "NAME", "Architecture; `maskwright models` lists them.", "model.name")
    )
    backbone: str | None = field(
        default=None,
        metadata=_option("--backbone", "NAME", "Backbone name, or timm:NAME for a timm backbone.", "model.backbone"),
    )
    weights: Path | None = field(
        default=None,
        metadata=_option(
            "--weights",
            "FILE",
            "Start the backbone from this file: safetensors, or a state dict in a .pth.",
            "model.weights",
        ),
    )
    settings: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "--set", "KEY=VALUE", "Set one value of the plan, e.g. optim.lr=3e-4. Repeatable.", repeatable=True
        ),
    )
    plan_file: Path | None = field(
        default=None,
        metadata=_option("--plan", "FILE", "Take the values in this plan.yaml, and plan the rest."),
    )
    from_run: Path | None = field(
        default=None,
        metadata=_option(
            "--from", "RUN", "Start from the model of this run (or a model.safetensors); classes may differ."
        ),
    )
    freeze: str | None = field(
        default=None,
        metadata=_option(
            "--freeze",
            "WHAT",
            "What to freeze: none, backbone, or until-step=N (the backbone for N steps).",
            "optim.freeze",
        ),
    )
    lora: int | None = field(
        default=None,
        metadata=_option(
            "--lora", "RANK", "Rank of low-rank updates (LoRA) to train instead of the weights, e.g. 8.", "lora.rank"
        ),
    )
    device: str = field(default="auto", metadata=_option("--device", "NAME", "auto, cpu, cuda, cuda:1 or mps."))
    seed: int | None = field(default=None, metadata=_option("--seed", "N", "Random seed.", "seed", least=0))
    group_by: str | None = field(
        default=None,
        metadata=_option(
            "--group-by",
            "PATTERN",
            "Regular expression on the file name; images with the same match (patient, video, site) stay together.",
            "split.group_by",
        ),
    )
    read: ReadOptions = field(default_factory=ReadOptions)
    started: float | None = None

    @property
    def task_is_open(self) -> bool:
        """Whether the task is left to the data: neither named, nor in a plan file or a run that the user gives."""
        keys = {setting.partition("=")[0].strip() for setting in self.settings}
        return self.task is None and self.plan_file is None and self.from_run is None and "task" not in keys

    def __post_init__(self) -> None:
        for name in ("plan_file", "from_run", "weights"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Path(value))
        if isinstance(self.settings, str | Mapping):
            raise MaskwrightError(f"settings is {self.settings!r}, and it must be a list: ['optim.lr=3e-4']")
        object.__setattr__(self, "settings", tuple(str(setting) for setting in self.settings))
        for name in ("seed", "lora"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise MaskwrightError(f"`{name}` is {value!r}, and it must be a whole number", name)
        check_lengths({"budget": self.budget_seconds, "steps": self.steps, "epochs": self.epochs})
        if self.seed is not None and self.seed < 0:
            raise MaskwrightError(f"seed is {self.seed}, and it must be 0 or more: leave it out, or give 0", "seed")
        if self.from_run is not None and self.weights is not None:
            raise MaskwrightError(
                f"`from_run` {self.from_run} and `weights` {self.weights} each name weights to start from: keep one"
            )
        self._check_settings()

    @property
    def budget_seconds(self) -> float | None:
        """The budget in seconds, or None if none is given."""
        return None if self.budget is None else parse_seconds(self.budget, "budget")

    def values(self) -> Iterator[tuple[str, str, Any]]:
        """Yield (field, key of the plan, value) for every given field that sets a key."""
        for entry in fields(self):
            option = entry.metadata.get("option")
            value = getattr(self, entry.name)
            if option is not None and option.key is not None and value is not None:
                yield entry.name, option.key, self.budget_seconds if entry.name == "budget" else value

    def _check_settings(self) -> None:
        """Refuse a field and a setting of the same key with different values."""
        from maskwright.core.plan_file import yaml_value

        given = {key.strip(): text.strip() for key, _, text in (setting.partition("=") for setting in self.settings)}
        for name, key, value in self.values():
            plain = str(value) if isinstance(value, Path) else value
            if key in given and plain not in (given[key], yaml_value(given[key])):
                shown = f"{plain:g}" if isinstance(plain, float) else plain
                raise MaskwrightError(
                    f"`{name}` {shown} and `settings` {key}={given[key]} contradict each other: keep one of them"
                )


@dataclass(frozen=True)
class EvaluateRequest:
    """What to score a trained model on, and how.

    Attributes:
        split: `train`, `val`, `test`, or `all` for every labelled image.
        read: how to read the data; None to read it as in the training.
        out: folder for `metrics-SPLIT.json` and `report-SPLIT.html`; None for the run folder.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        output_stride: of the network, if it can be changed; None for the stride that the model says.
        postprocess: name in `postprocess.POSTPROCESSORS`: apply it after the network, and compare. If the model has no
            settings for it, they are fitted on validation images and saved in the model file.
        refit: with `postprocess`: fit the settings even if the model has some.
        engine: what runs the network, see `inference.opening.opened`; None for that of the file.

    Raises:
        MaskwrightError: `refit` without a postprocessor.
    """

    split: str = "test"
    read: ReadOptions | None = None
    out: Path | None = None
    device: str = "auto"
    output_stride: int | None = None
    postprocess: str | None = None
    refit: bool = False
    engine: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.out, str):
            object.__setattr__(self, "out", Path(self.out))
        if self.refit and self.postprocess is None:
            raise MaskwrightError("`refit` fits a postprocessor again: name one with `postprocess`")


RESUMABLE = frozenset({"device", "started"})
"""Fields that may be set when a training is resumed."""


def check_resume(request: PlanRequest, out: Path | None) -> None:
    """Refuse settings that a resumed run, which keeps its plan and folder, cannot use.

    Raises:
        MaskwrightError: a setting other than the device is given.
    """
    usual = PlanRequest()
    names = [entry.name for entry in fields(PlanRequest) if entry.name not in RESUMABLE]
    given = [name for name in names if name != "read" and getattr(request, name) != getattr(usual, name)]
    read = [entry.name for entry in fields(ReadOptions)]
    given += [f"read.{name}" for name in read if getattr(request.read, name) != getattr(usual.read, name)]
    if out is not None:
        given.append("out")
    if given:
        raise MaskwrightError(
            "`resume` continues the run with its own plan, so that the result stays the same: leave out "
            f"{', '.join(f'`{name}`' for name in given)}, or start a new run without `resume`"
        )
