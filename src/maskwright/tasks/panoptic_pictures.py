"""Examples of things and stuff as pictures: image, truth, prediction, wrong classes, wrong objects. Knows no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.ops import draw, draw_objects
from maskwright.tasks import instance_pictures, label_pictures
from maskwright.tasks.base import Legend, Painted, Panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.targets import Target
    from maskwright.tasks.panoptic_map import PanopticMap


def overlay(image: NDArray[Any], result: PanopticMap, classes: Classes) -> NDArray[np.uint8]:
    """Tint an image (H, W, C) by the classes of stuff, and tint, outline and number the objects: RGB (H, W, 3)."""
    stuff = np.where(np.isin(result.labels, classes.stuff), result.labels, np.uint8(IGNORE))
    colors = draw_objects.colors_of(result.objects, classes)
    return draw_objects.overlay(draw.overlay(image, stuff, classes), result.objects, colors)


def paint(
    image: NDArray[np.uint8], target: Target, truth: PanopticMap, result: PanopticMap, classes: Classes
) -> Painted:
    """Draw an example at full size.

    Args:
        image: RGB (H, W, 3).
        target: the truth as read.
        truth: the same as a result.
        result: predicted.
        classes: names and colours.
    """
    objects = instance_pictures.paint(image, target, result.objects, classes)
    labels = label_pictures.paint(image, truth.labels, result.labels, classes)
    panels = (
        Panel("image", "photo", image),
        Panel("truth", "photo", overlay(image, truth, classes)),
        Panel("prediction", "photo", overlay(image, result, classes)),
        labels.panels[-1]._replace(title="wrong classes"),
        objects.panels[-1]._replace(title="wrong objects"),
    )
    return Painted(panels, f"{objects.note} {labels.note}")


def legend(targets: Iterable[Target], results: Iterable[PanopticMap], classes: Classes) -> Legend:
    """Return the colours of the classes in any of them, and of the kinds of errors."""
    targets, results = list(targets), list(results)
    maps = (*(target.labels for target in targets), *(result.labels for result in results))
    labels = label_pictures.legend(maps, classes)
    objects = instance_pictures.legend(targets, (result.objects for result in results), classes)
    return Legend(labels.classes, tuple(dict.fromkeys((*labels.errors, *objects.errors))))
