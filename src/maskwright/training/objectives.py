"""The table of objectives besides the loss of the task. A feature is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.training import adversarial, distillation

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_fabric import Fabric

    from maskwright.core.plan import Plan
    from maskwright.models import Segmenter
    from maskwright.training.objective import Objective

OBJECTIVES: dict[str, Callable[[Segmenter, Plan, Fabric], Objective | None]] = {
    "adversarial": adversarial.create,
    "distill": distillation.create,
}
"""Section of the plan -> what builds the objective, or returns None where the plan does not ask for it."""


def create(segmenter: Segmenter, plan: Plan, fabric: Fabric) -> list[Objective]:
    """Build the objectives that a plan asks for."""
    made = (build(segmenter, plan, fabric) for build in OBJECTIVES.values())
    return [objective for objective in made if objective is not None]
