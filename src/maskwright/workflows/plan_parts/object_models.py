"""Networks that emit objects: the task that they bring with them, and what in a plan does not go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.models.catalog import OBJECT_MODELS

if TYPE_CHECKING:
    from maskwright.core.plan import Plan


def suited_task(model: str) -> tuple[str, str] | None:
    """Return the task that a network that emits objects is for, and the reason; None for one that emits maps."""
    entry = OBJECT_MODELS.get(model)
    if entry is None or entry.tasks is None:
        return None
    return entry.tasks[0], f"{model} emits objects"


def check_task(plan: Plan) -> None:
    """Refuse a network that emits objects for a task that it does not serve, and parts of the plan that need maps.

    Raises:
        MaskwrightError: such a plan.
    """
    entry = OBJECT_MODELS.get(plan.model.name)
    if entry is None:
        return
    assert entry.tasks is not None
    if plan.task not in entry.tasks:
        serves = " or ".join(entry.tasks)
        raise MaskwrightError(
            f"{plan.model.name} emits objects, and the task {plan.task} needs maps: choose task={serves}, or another "
            "model.name, such as swiftnet",
            "model.name",
        )
    for key, used in (
        ("adversarial.weight", bool(plan.adversarial.weight)),
        ("predict.flip", plan.predict.flip),
        ("predict.output_stride", plan.predict.output_stride is not None),
        ("postprocess.crf", plan.postprocess.crf is not None),
    ):
        if used:
            raise MaskwrightError(f"{key} needs maps, and {plan.model.name} emits objects: leave it out", key)
