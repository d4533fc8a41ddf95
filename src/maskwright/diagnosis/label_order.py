"""Which images to label next: those that the model is likely to get wrong, and that differ from one another.

Risk alone names near-duplicates; distance alone names oddities. So the images are taken one after another, each time
the one with the largest risk x distance to the nearest image that is already taken (k-centre, Sener and Savarese 2018,
"Active Learning for Convolutional Neural Networks: A Core-Set Approach", weighted by the risk).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def expected_risk(labels: NDArray[np.uint8], confidence: NDArray[np.floating], classes: int) -> float:
    """Return the share, 0..1, of the overlap with the truth that the model itself expects to miss.

    A pixel read as a class is of it with its confidence; the rest of its probability is counted as missed by the other
    classes together. 1 - the mean over the classes read of expected intersection / expected union.

    Args:
        labels: (H, W) class indices; others than `classes` do not count.
        confidence: (H, W) probability of these.
        classes: number of classes.
    """
    known = labels < classes
    said = np.bincount(labels[known], minlength=classes).astype(np.float64)
    inside = np.bincount(labels[known], confidence[known].astype(np.float64), classes)
    read = said > 0
    if not read.any():
        return 0.0
    missed = (said - inside).sum() / read.sum()  # the same for each class: which one lost the pixel is not known
    return float(1 - (inside[read] / (said[read] + missed)).mean())


def order(risks: NDArray[np.float64], features: NDArray[np.float64], most: int) -> list[int]:
    """Return the images to label first, as places in the list.

    Args:
        risks: (n,) 0..1.
        features: (n, F) describe the images; each column is brought to the same scale.
        most: images to return.
    """
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1.0)
    nearest = np.full(len(risks), np.inf)
    chosen: list[int] = []
    for _ in range(min(most, len(risks))):
        value = risks * (nearest if chosen else 1.0)
        value[chosen] = -1.0
        best = int(value.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[best], axis=1))
    return chosen
