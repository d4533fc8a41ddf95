"""Networks that are trained on objects: the task that they bring, and what in a plan does not go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.models.catalog import OBJECT_MODELS
from maskwright.tasks import task_of

if TYPE_CHECKING:
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan


def suited_task(model: str) -> tuple[str, str] | None:
    """Return the only task that a network is for, and the reason; None for one that serves several."""
    entry = OBJECT_MODELS.get(model)
    if entry is None or entry.tasks is None or len(entry.tasks) > 1:
        return None
    return entry.tasks[0], f"{model} emits objects"


def check_task(plan: Plan, classes: Classes) -> None:
    """Refuse a network for a task that it does not serve, and parts of the plan that need maps.

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
    of_training = {"adversarial.weight": bool(plan.adversarial.weight)}
    of_maps = {
        "predict.flip": plan.predict.flip,
        "predict.output_stride": plan.predict.output_stride is not None,
        "postprocess.crf": plan.postprocess.crf is not None,
    }
    emits = emits_objects(task_of(plan).channels(classes))
    for key, used in {**of_training, **(of_maps if emits else {})}.items():
        if used:
            why = f"{key} needs maps, and {plan.model.name} learns from objects"
            raise MaskwrightError(f"{why}: leave it out", key)
