"""Score a network while it trains: the headline metric at working resolution. Never the final score."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from maskwright.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.targets import Target
    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter
    from maskwright.training.loggers import Logger

PICTURES = 4


class Validator:
    """Predicts the validation images, each already at the working resolution, and compares.

    Args:
        pairs: images uint8 (H, W, C) as `ops.images.prepare` makes them, with their targets.
        card: of the model in training.
        device: to run on.
        loggers: get the first few pictures of truth and prediction each time.
        fast: in bfloat16, as the training itself.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[NDArray[np.uint8], Target]],
        card: Card,
        device: torch.device,
        loggers: Sequence[Logger] = (),
        *,
        fast: bool = False,
    ) -> None:
        prepared = card.data.unscaled().model_copy(update={"value_range": None})
        single = card.predict.alone().model_copy(update={"output_stride": None})
        self._card = card.model_copy(update={"data": prepared, "predict": single})
        self._pairs = pairs
        self._device = device
        self._loggers = loggers
        self._fast = fast

    def __call__(self, model: nn.Module, step: int) -> float | None:
        """Return the headline metric of the task; None where the images say nothing about it."""
        predictor = Predictor.of(cast("Segmenter", model), self._card, self._device, fast=self._fast)
        task, classes = predictor.task, predictor.classes
        judge = task.judge(classes, {}, quick=True)
        for number, (image, target) in enumerate(self._pairs):
            if number >= PICTURES or not self._loggers:
                judge.update(str(number), predictor.blocks(image), target)
            else:
                blocks = list(predictor.blocks(image))
                judge.update(str(number), blocks, target)
                results = task.truth(target), task.decode(blocks, target.size, classes, {})
                picture = np.hstack([task.overlay(image, result, classes) for result in results])
                for logger in self._loggers:
                    logger.picture(f"validation/{number}-truth-and-prediction", picture, step)
        return judge.score()
