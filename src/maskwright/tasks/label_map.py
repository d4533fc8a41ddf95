"""A label map as a result: from blocks of class probabilities to the likeliest class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.ops.images import count_labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.classes import Classes
    from maskwright.tasks.block import Block


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The class of every pixel.

    Attributes:
        labels: uint8 (H, W), class indices; `IGNORE` where a single class is not there, or the image has no data.
        confidence: float16 (H, W), the probability of what was chosen, or None where nobody asked for it.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float16] | None = None

    @classmethod
    def of(cls, blocks: Iterable[Block], size: tuple[int, int], *, confidence: bool = False) -> LabelMap:
        """Decide every block of an image of `size` (height, width); no probabilities are held at full size."""
        labels = np.empty(size, np.uint8)
        chosen = np.empty(size, np.float16) if confidence else None
        for block in blocks:
            place = (block.rows, block.columns)
            if chosen is None:
                labels[place] = likeliest(block.maps)
            else:
                labels[place], chosen[place] = decide(block.maps)
        return cls(labels, chosen)

    def pixels(self, classes: Classes) -> dict[str, int]:
        """Return class name -> number of pixels, of the classes that occur."""
        counts = count_labels(self.labels)
        return {name: int(count) for name, count in zip(classes.names, counts, strict=False) if count}

    def regions(self, classes: Classes) -> Instances:
        """Return the connected regions of each class but the background as objects, scored by their mean confidence."""
        assert self.confidence is not None
        present, objects = count_labels(self.labels), []
        for index in range(len(classes)):
            if not present[index] or index == classes.background:
                continue
            inside = (self.labels == index).view(np.uint8)
            count, places, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
            for number in range(1, count):
                left, top, width, height = stats[number, :4].tolist()
                part = (slice(top, top + height), slice(left, left + width))
                mask = places[part] == number
                score = float(self.confidence[part][mask].mean(dtype=np.float64))
                objects.append(Instance(index, top, left, mask, score))
        return Instances((self.labels.shape[0], self.labels.shape[1]), tuple(objects))


def likeliest(maps: Tensor) -> NDArray[np.uint8]:
    """Choose the class of every pixel as `decide` does, of maps (K, h, w) of probabilities or what ranks classes alike.

    Returns:
        labels uint8 (h, w).
    """
    if len(maps) == 1 or maps.stride(0) != 1 or maps.device.type != "cpu":
        return decide(maps)[0]
    # The values of a pixel lie together, as networks leave them: one core with NumPy is faster than two with PyTorch.
    values = maps.permute(1, 2, 0).numpy()
    labels = values.argmax(axis=2).astype(np.uint8)
    if np.isnan(values.max()):
        labels[np.isnan(values).any(axis=2)] = IGNORE
    return labels


def decide(probabilities: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Choose the likeliest class of every pixel, the first of equals.

    Args:
        probabilities: (K, h, w), the softmax of K classes; or (1, h, w), the sigmoid of a single class, which is there
            where it is at least one half, and `IGNORE` elsewhere. NaN, where the image has no data, is `IGNORE`.

    Returns:
        labels uint8 (h, w), and the probability of what was chosen, float32 (h, w).
    """
    if len(probabilities) == 1:
        confidence = probabilities[0]
        labels = torch.where(confidence >= 0.5, 0, IGNORE)
        confidence = torch.maximum(confidence, 1 - confidence)
    else:
        confidence, labels = probabilities.max(dim=0)
        labels = labels.masked_fill(confidence.isnan(), IGNORE)
    return labels.to(torch.uint8).cpu().numpy(), confidence.float().cpu().numpy()
