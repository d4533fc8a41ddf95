"""Grow one planned forest: draw labelled pixels from training crops, and hand them to the grower. Makes no checkpoint.

It takes seconds, so a training that was killed begins again, unless its trees are in the model file already.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress
from maskwright.core.seeds import generator
from maskwright.training import forest
from maskwright.training.loggers import write_history
from maskwright.training.loop import Best
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train_parts.fit import Reserve, begun, crops, schedule_of, stream

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.models import Segmenter
    from maskwright.models.pixels.forest import Forest
    from maskwright.training.forest import Pixels
    from maskwright.training.loggers import Logger, Row
    from maskwright.training.schedule import Schedule
    from maskwright.workflows.train_parts.training_run import TrainingRun

PIXELS = 16_000
"""About how many pixels a forest is grown from, the same number of each class where there are enough."""
DRAWING_SHARE = 0.5
"""Of the time, at most, for drawing pixels; the rest is for the trees."""


def grow(training: TrainingRun, writers: list[Logger]) -> tuple[Best, Schedule]:
    """Draw pixels and grow the trees. There is nothing to choose by a validation, so none is made.

    Raises:
        MaskwrightError: the crops show no labelled pixel.
    """
    started = time.monotonic()
    segmenter = begun(training, resumed=False).to(training.fabric.device).eval()
    schedule = schedule_of(Reserve(training), segmenter)
    pixels = _drawn(training, segmenter, schedule)
    trees = cast("Forest", segmenter.decoder.cpu())  # where scikit-learn works
    deadline = None if schedule.budget_seconds is None else started + schedule.budget_seconds
    planted = forest.grow(trees, pixels, training.plan.seed, deadline)
    if planted < len(trees.features):
        training.on_event(Note(f"there was time for {planted} of {len(trees.features)} trees"))
    schedule.spent_seconds = time.monotonic() - started
    _log(training, writers, schedule)
    return Best(step=schedule.step, weights=segmenter.state_dict()), schedule


def _drawn(training: TrainingRun, segmenter: Segmenter, schedule: Schedule) -> Pixels:
    """Draw pixels from the crops of each step, until the last or until there is no more time for it."""
    plan, name = training.plan, training.groups[0].name
    each = max(PIXELS // (schedule.total * segmenter.classes), 1)
    parts = []
    begin = time.monotonic()
    samples = crops(training)
    with stream(training, samples, 0) as batches, torch.inference_mode():
        for images, targets in islice(batches, schedule.total):
            rng = generator(plan.seed, "pixels", schedule.step)
            for image, labels in zip(images, targets[name], strict=True):
                parts.append(_of_crop(segmenter, image, labels, each // len(images) + 1, rng))
            schedule.advance()
            schedule.spent_seconds = time.monotonic() - begin
            training.on_event(Progress(schedule.step, schedule.total))
            room = schedule.budget_seconds
            if room is not None and schedule.spent_seconds > DRAWING_SHARE * room:
                schedule.total = schedule.step
                break
    pixels = forest.joined(parts)
    if not len(pixels.classes):
        raise MaskwrightError("the training crops show no labelled pixel: label more, or set train.steps higher")
    return pixels


def _of_crop(segmenter: Segmenter, image: Tensor, labels: Tensor, most: int, rng: np.random.Generator) -> Pixels:
    """Draw up to `most` pixels of each class from a crop (C, h, w) with its labels (h, w)."""
    found = labels.flatten().cpu().numpy()
    chosen, weights = [np.empty(0, np.int64)], [np.empty(0)]
    for index in np.unique(found[found != IGNORE]):
        places = np.flatnonzero(found == index)
        drawn = rng.choice(places, min(most, len(places)), replace=False)
        chosen.append(drawn)
        weights.append(np.full(len(drawn), len(places) / len(drawn)))
    places = np.concatenate(chosen)
    responses = segmenter.backbone(image[None])[-1].flatten(2)[0, :, torch.from_numpy(places).to(image.device)]
    return forest.Pixels(responses.T.cpu().numpy(), found[places], np.concatenate(weights))


def _log(training: TrainingRun, writers: list[Logger], schedule: Schedule) -> None:
    """Write the only row of the history."""
    row: Row = {"step": schedule.step, "seconds": round(schedule.spent_seconds, 2), "loss": None, "lr": None}
    for writer in writers:
        writer.numbers(row)
    write_history(training.run / run_folder.HISTORY, [row])
