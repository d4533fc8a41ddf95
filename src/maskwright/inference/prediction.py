"""The result for one image, and what can be computed from it on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from maskwright.core.errors import MaskwrightError
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.panoptic_map import PanopticMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.models.bundle import Card
    from maskwright.tasks.base import Task


class Model(Protocol):
    """What a result asks of the predictor that found it."""

    card: Card
    task: Task
    classes: Classes

    def maps(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return all activated maps (C, H, W) of an image."""


class NoLabelsError(MaskwrightError, AttributeError):
    """Labels of a result that has none; an `AttributeError`, so that `hasattr` says so."""


@dataclass(frozen=True)
class Prediction:
    """The result for one image.

    Attributes:
        result: of the task of the model, a `tasks.label_map.LabelMap` for semantic segmentation.
        image: as given, (H, W) or (H, W, C).
        predictor: for what is computed on demand.
    """

    result: Any
    image: NDArray[Any] = field(repr=False)
    predictor: Model = field(repr=False)

    @property
    def classes(self) -> Classes:
        """Names and colours of the classes."""
        return self.predictor.classes

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Class indices uint8 (H, W) at the image's own size.

        Raises:
            NoLabelsError: the model's task gives no label map.
        """
        if not isinstance(self.result, LabelMap | PanopticMap):
            raise NoLabelsError(f"a model for {self.predictor.card.task} has no label map: use `result`")
        return self.result.labels

    @cached_property
    def maps(self) -> NDArray[np.float32]:
        """Activated maps float32 (C, H, W), class probabilities for example; the first use runs the network again."""
        return self.predictor.maps(self.image)

    def overlay(self) -> NDArray[np.uint8]:
        """Return the result drawn over the image, RGB (H, W, 3)."""
        return self.predictor.task.overlay(self.image, self.result, self.classes)
