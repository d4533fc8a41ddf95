"""Measure a step of a plan on this machine: that of the network, and its crops where only one core can make them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright.core.resources import CACHE_SHARE, free_memory
from maskwright.data.cache import DecodedCache
from maskwright.data.loader import TrainingCrops
from maskwright.planning.cost import pixels
from maskwright.tasks import planned_task
from maskwright.training.measure import step_cost

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset
    from maskwright.data.survey import Survey
    from maskwright.planning.cost import StepCost
    from maskwright.planning.machine import Machine

_IMAGES = 4
_TIMED = 2


def measured(plan: Plan, dataset: Dataset, seen: Survey, machine: Machine) -> StepCost:
    """Measure a step. On an only core it waits until its crops are made; elsewhere they are made meanwhile.

    Args:
        plan: that the step is of.
        dataset: records with their splits.
        seen: what each record shows.
        machine: to train on.

    Raises:
        MaskwrightError: the training images cannot be read any more.
    """
    cost = step_cost(plan, dataset.classes, torch.device(machine.place))
    if machine.device != "cpu" or machine.cores > 1:
        return cost
    begun = time.perf_counter()
    seconds = crops_seconds(plan, dataset, seen)
    spent = cost.spent_seconds + time.perf_counter() - begun
    return replace(cost, crop_seconds=seconds / pixels(plan), spent_seconds=spent)


def crops_seconds(plan: Plan, dataset: Dataset, seen: Survey) -> float:
    """Return the seconds of making the crops of a step from images in memory; a few images stand for all."""
    records = dataset.part("train")
    chosen = [records[place] for place in np.unique(np.linspace(0, len(records) - 1, _IMAGES).astype(int))]
    task = planned_task(plan)
    cache = DecodedCache(dataset, chosen, plan.data, int(free_memory() * CACHE_SHARE), task.target)
    presence = [seen.present(record.id) for record in chosen]
    crops = TrainingCrops(cache, presence, plan, lambda target: task.encode(target, dataset.classes))
    times = []
    for step in range(1 + _TIMED):  # the first pass decodes
        begun = time.perf_counter()
        for slot in range(plan.sampling.batch):
            crops.crop(step, slot)
        times.append(time.perf_counter() - begun)
    return min(times[1:])
