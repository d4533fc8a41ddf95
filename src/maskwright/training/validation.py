"""Score a network while it trains: mean IoU on validation images at working resolution. Never the last judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.inference.predictor import Predictor
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.ops import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from maskwright.models.bundle import Card
    from maskwright.training.loggers import Logger

PICTURES = 4


class Validator:
    """Predicts the validation images, each already at the working resolution, and compares.

    Args:
        pairs: images uint8 (H, W, C) as `ops.images.prepare` makes them, with their label maps uint8 (H, W).
        card: of the model in training.
        device: to run on.
        loggers: given the first few pictures of truth and prediction each time.
        fast: in bfloat16, as the training itself.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
        card: Card,
        device: torch.device,
        loggers: Sequence[Logger] = (),
        *,
        fast: bool = False,
    ) -> None:
        prepared = card.data.model_copy(update={"scale": 1.0, "value_range": None})
        single = card.predict.model_copy(update={"flip": False, "output_stride": None})
        self._card = card.model_copy(update={"data": prepared, "predict": single})
        self._pairs = pairs
        self._device = device
        self._loggers = loggers
        self._fast = fast

    def __call__(self, model: nn.Module, step: int) -> float | None:
        """Return the mean IoU (0..1) over the classes that are there.

        None where nothing can be told: without a labelled pixel, or with a single class, which is right everywhere.
        """
        count = len(self._card.classes.names)
        if count == 1 or not any((truth < count).any() for _, truth in self._pairs):
            return None
        predictor = Predictor(model, self._card, self._device, fast=self._fast)
        total = np.zeros((count, count), np.int64)
        for number, (image, truth) in enumerate(self._pairs):
            labels = predictor.labels(image)
            total += confusion_matrix(labels, truth, count)
            if number < PICTURES:
                self._show(number, image, truth, labels, step)
        return float(mean_defined(iou(per_class(total))))

    def _show(
        self, number: int, image: NDArray[np.uint8], truth: NDArray[np.uint8], labels: NDArray[np.uint8], step: int
    ) -> None:
        classes = self._card.classes.table()
        picture = np.hstack([draw.overlay(image, truth, classes), draw.overlay(image, labels, classes)])
        for logger in self._loggers:
            logger.picture(f"validation/{number}-truth-and-prediction", picture, step)
