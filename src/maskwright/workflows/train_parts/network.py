"""The network of one training, from its first weights to the one that is saved. Trains nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright import models
from maskwright.models import lora
from maskwright.models.freezing import Freezer
from maskwright.models.transfer import take_over
from maskwright.models.weights import is_whole_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Plan


def first_network(
    plan: Plan, groups: Sequence[Channels], names: Sequence[str], *, resumed: bool
) -> tuple[models.Segmenter, list[str]]:
    """Build the initial network of a training, and describe where its weights come from and what is trained.

    Args:
        plan: of the training.
        groups: channels that the network emits.
        names: of the classes.
        resumed: a checkpoint will overwrite the weights, so none are read and the hub is not asked again.

    Raises:
        MaskwrightError: the weights cannot be had or do not fit.
    """
    notes: list[str] = []
    weights = None if plan.model.weights is None or resumed else Path(plan.model.weights)
    whole = weights is not None and is_whole_model(weights)
    model = plan.model.plain() if resumed or whole else plan.model
    segmenter = models.create_from_plan(model, groups, plan.data.channels)
    notes += [] if resumed else segmenter.backbone.notes
    if whole:
        assert weights is not None
        notes.append(str(take_over(segmenter, plan.model, names, weights)))
    lora.adapt(segmenter, plan.lora)
    if plan.lora.rank or plan.optim.freeze != "none":
        notes.append(trained_parts(segmenter, plan))
    return segmenter, notes


def trained_parts(segmenter: models.Segmenter, plan: Plan) -> str:
    """Describe how much of a network is trained, and until when."""
    freezer = Freezer(segmenter, plan.optim.freeze)
    freezer.at(0)
    first = lora.trained_share(segmenter)
    freezer.at(math.inf)
    if freezer.until in {0, math.inf}:
        return f"trains {first}"
    late = f" (about {plan.train.steps} steps are planned)" if freezer.until >= plan.train.steps else ""
    return f"trains {first} up to step {freezer.until}{late}, and then {lora.trained_share(segmenter)}"


def last_network(
    plan: Plan, groups: Sequence[Channels], weights: Mapping[str, Tensor], steps: int
) -> tuple[models.Segmenter, lora.TrainedShare]:
    """Build the final network of a training, with LoRA merged, and count how much of it was trained.

    Args:
        plan: of the training.
        groups: channels that the network emits.
        weights: as the loop kept them, or those of a saved model, which have LoRA merged.
        steps: that were made.
    """
    segmenter = models.create_from_plan(plan.model.plain(), groups, plan.data.channels)
    merged = segmenter.state_dict().keys() == weights.keys()
    if merged:
        segmenter.load_state_dict(dict(weights))
    lora.adapt(segmenter, plan.lora)
    Freezer(segmenter, plan.optim.freeze).at(steps - 1)
    share = lora.trained_share(segmenter)
    if not merged:
        segmenter.load_state_dict(dict(weights))
    lora.merge(segmenter)
    segmenter.set_progress(1.0)  # what grows with the training is complete now, even if the budget ended it early
    return segmenter, share
