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
