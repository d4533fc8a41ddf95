"""How likely a prediction is wrong, from the network's own probabilities: the overlap that they promise.

A pixel with the probability p of its class is right with that chance, and of a pixel that went to another class 1 - p is
missed. The expected overlap of a class is the ratio of the expected intersection and the expected union of prediction and
truth. It needs nothing but sums over pixels, so one pass suffices, block by block. Borges, Batista et al. 2024, "Selective
prediction for semantic segmentation using post-hoc confidence estimation", derive the same for Dice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Channels


class Promise:
    """Sums over the blocks of one image, from which the expected overlap of its prediction with the truth follows.

    Args:
        groups: channels of the network's maps.

    Attributes:
        said: (K,) pixels that were given to each class.
        inside: (K,) sum of the class's probability over these pixels: those that are expected to be right.
        total: (K,) sum of the class's probability over all pixels: those that are expected to be of the class.
    """

    def __init__(self, groups: Sequence[Channels]) -> None:
        known = places(groups)
        name = CLASS_GROUP if CLASS_GROUP in known else EDGE_GROUP
        self._place = known.get(name)
        count = 0 if self._place is None else self._place.stop - self._place.start
        self.said, self.inside, self.total = (np.zeros(2 if count == 1 else count) for _ in range(3))

    def add(self, maps: Tensor) -> None:
        """Add activated maps (C, h, w); pixels that are NaN have no data and do not count."""
        if self._place is None:
            return
        shares = maps[self._place]
        if len(shares) == 1:
            shares = torch.cat([1 - shares, shares])
        flat = shares.flatten(1).double()
        flat = flat[:, ~flat[0].isnan()]
        top, label = flat.max(0)
        count = len(flat)
        self.said += torch.bincount(label, minlength=count).cpu().numpy()
        self.inside += torch.bincount(label, top, minlength=count).cpu().numpy()
        self.total += flat.sum(1).cpu().numpy()

    @property
    def iou(self) -> NDArray[np.float64]:
        """The expected IoU (K,) of each class; 0 for a class that nothing is given to."""
        return self.inside / np.maximum(self.said + self.total - self.inside, 1e-12)

    @property
    def dice(self) -> NDArray[np.float64]:
        """The expected Dice coefficient (K,)."""
        return 2 * self.inside / np.maximum(self.said + self.total, 1e-12)
