"""What short trainings by the plan of a run need: its data, its plan, and how many steps there is time for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.workflows.diagnose_parts.study import Study
    from maskwright.workflows.runs.run_folder import Material

FEWEST_IMAGES = 8
LEAST_STEPS = 20
"""Fewest steps after which scores of trainings are worth comparing."""
OVERHEAD = 15.0
"""Seconds of a short training besides its steps and predictions: reading, building, saving, a report."""


@dataclass(frozen=True)
class Setup:
    """What the short trainings share."""

    study: Study
    plan: Plan
    material: Material
    held_out: list[Record]

    @classmethod
    def of(cls, study: Study) -> Setup:
        """Read what the run was made of.

        Raises:
            MaskwrightError: there is no run, its data changed, or it cannot be divided.
        """
        if study.plan is None or not study.history:
            raise MaskwrightError(f"{study.home} holds no run with a plan and a history: give the folder of a training")
        plan, material = run_folder.reopen(study.home, study.dataset.root)
        held_out = [look.record for look in study.looks if look.record.split != "train"]
        number = len(material.dataset.part("train"))
        if number < FEWEST_IMAGES:
            raise MaskwrightError(f"there are {number} training images, and at least {FEWEST_IMAGES} are needed")
        if not held_out:
            raise MaskwrightError("no image is held out: choose `split` test or val")
        return cls(study, plan, material, held_out)

    @property
    def sign(self) -> float:
        """1 where a higher headline score is better, otherwise -1."""
        return 1.0 if self.study.scores.headline_metric.higher_is_better else -1.0

    @property
    def least(self) -> int:
        """Steps that a training needs at least; a run may have had fewer."""
        return min(LEAST_STEPS, self._most)

    @property
    def _most(self) -> int:
        return int(self.study.history[-1]["step"] or 1)

    def steps(self, trainings: int, deadline: float) -> tuple[int, int]:
        """Return the steps that each of so many trainings has time for, at most those of the run.

        Returns:
            The steps, and 0; or 0, and the minutes that are needed.
        """
        last = self.study.history[-1]
        most, least = self._most, self.least
        each = (last["seconds"] or 0.0) / max(1.0, most)
        besides = OVERHEAD + self.study.seconds_each * (len(self.held_out) + 60)
        steps = min(most, int(((deadline - time.monotonic()) / trainings - besides) / max(each, 1e-6)))
        return (steps, 0) if steps >= least else (0, 1 + int(2 * trainings * (besides + least * each) / 60))


def too_short(key: str, question: str, setup: Setup, trainings: int, minutes: int) -> Answer:
    """Return the answer that the time is too short."""
    study = setup.study
    cure = Cure(
        "Takes the time that the trainings need.",
        "diagnose",
        (str(study.run), str(study.dataset.root)),
        {"question": (key,), "budget": f"{minutes}m"},
    )
    why = f"Not measured: {trainings} trainings of {plural(setup.least, 'step')} need about {minutes} minutes."
    return Answer(key, question, why, "open", cures=(cure,))
