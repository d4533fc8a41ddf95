"""One training, ready to run: the data that its parts share. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from maskwright.models.bundle import Card, CardClasses
from maskwright.tasks import task_of
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from pathlib import Path

    from lightning_fabric import Fabric

    from maskwright.core.channels import Channels
    from maskwright.core.events import OnEvent
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.core.time_budget import TimeBudget
    from maskwright.tasks import Task
    from maskwright.workflows.runs.run_folder import Material


@dataclass(frozen=True)
class TrainingRun:
    """One training, ready to run.

    Attributes:
        run: the run folder.
        plan: every decision.
        material: data set with splits, and the classes that each record shows.
        fabric: device, precision and processes; already launched.
        budget: of the whole command.
        on_event: gets events.
    """

    run: Path
    plan: Plan
    material: Material
    fabric: Fabric
    budget: TimeBudget
    on_event: OnEvent

    @property
    def task(self) -> Task:
        """What the masks mean."""
        return task_of(self.plan)

    @property
    def groups(self) -> tuple[Channels, ...]:
        """The channel groups that the network emits."""
        return self.task.channels(self.material.dataset.classes)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What the data looked like when the run began."""
        return run_folder.read_fingerprint(self.run)

    def part(self, split: str) -> tuple[Record, ...]:
        """Return the records of one split."""
        return tuple(record for record in self.material.dataset.records if record.split == split)

    def postprocessors(self) -> list[str]:
        """Return the names of the postprocessors to be fitted: none where there is no validation image."""
        wanted = [name for name, settings in self.plan.postprocess if settings is not None]
        return wanted if self.part("val") else []

    def fit_seconds(self) -> float:
        """Return the seconds that fits of the decoding and of postprocessors may take, without predictions."""
        if not self.part("val"):
            return 0.0
        decoding = self.budget.fit_seconds(self.task.fit_seconds)
        return decoding + self.budget.postprocess_seconds() * len(self.postprocessors())

    def card(self) -> Card:
        """Describe the model."""
        plan, classes, reading = self.plan, self.material.dataset.classes, self.material.dataset.reading
        return Card(
            task=plan.task,
            formulation=plan.objects.formulation,
            channels=self.groups,
            model=plan.model,
            classes=CardClasses.of(classes),
            data=plan.data,
            dtypes=sorted(self.fingerprint.dtypes),
            nodata=reading.nodata,
            upright=reading.upright,
            predict=plan.predict,
        )
