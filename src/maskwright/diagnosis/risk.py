"""How likely a prediction is wrong, from the network's own probabilities: the overlap that they promise.

A pixel with the probability p of its class is right with that chance, and of a pixel that went to another class 1 - p
is missed. The expected overlap of a class is the ratio of the expected intersection and the expected union of
prediction and truth. It needs nothing but sums over pixels, so one pass suffices, block by block. Borges et al. 2024,
"Selective prediction for semantic segmentation using post-hoc confidence estimation and its performance under
distribution shift", derive the same for Dice.

Measured in docs/diagnose.md: the mean over classes, each weighted by the chance that the image shows it, tells bad
images better than mean confidence, entropy, or how much flipped and rescaled copies of the image agree, which take
several passes. Of objects, their mean score does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, places
from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instances
from maskwright.ops.instance_maps import to_map
from maskwright.tasks.label_map import decide
from maskwright.tasks.panoptic_map import PanopticMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.inference.predictor import Predictor
    from maskwright.tasks.block import Block

FEW_PIXELS = 0.002
"""Expected share of the image at which a class is there with probability 1 - 1/e."""
IN_CROWD = 0.5


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
        self._place = known.get(CLASS_GROUP, known.get(EDGE_GROUP))
        self._soft = CLASS_GROUP not in known  # an edge is no class that a pixel must get
        count = 1 if self._place is None else self._place.stop - self._place.start
        self.said, self.inside, self.total = (np.zeros(2 if count == 1 else count) for _ in range(3))

    @property
    def sums(self) -> NDArray[np.float64]:
        """The three sums (3, K), which may be added up over parts of an image."""
        return np.stack([self.said, self.inside, self.total])

    @sums.setter
    def sums(self, sums: NDArray[np.float64]) -> None:
        self.said, self.inside, self.total = sums

    def add(self, block: Block) -> None:
        """Add a block; pixels without data do not count."""
        if self._place is not None:
            self._add_maps(block.maps[self._place])

    def _add_maps(self, shares: Tensor) -> None:
        if self._soft:
            flat = shares.flatten().float()
            self._add_shares(flat[~flat.isnan()].cpu().numpy())
            return
        shares = shares.float() if len(shares) > 1 else torch.cat([shares, 1 - shares]).float()
        count, (labels, probability) = len(shares), (found.ravel() for found in decide(shares))
        self.said += np.bincount(labels, minlength=IGNORE + 1)[:count]
        self.inside += np.bincount(labels, probability, minlength=IGNORE + 1)[:count]
        self.total += shares.nansum((1, 2), dtype=torch.float64).cpu().numpy()

    def _add_shares(self, shares: NDArray[np.floating]) -> None:
        """Add what is there with these probabilities, weighted by them: what hardly shows hardly counts."""
        self.inside[0] += float(np.square(shares, dtype=np.float64).sum())
        self.total[0] += float(shares.sum(dtype=np.float64))

    @property
    def iou(self) -> NDArray[np.float64]:
        """The expected IoU (K,) of each class."""
        return np.asarray(self.inside / np.maximum(self.said + self.total - self.inside, 1e-12))

    @property
    def dice(self) -> NDArray[np.float64]:
        """The expected Dice coefficient (K,)."""
        return np.asarray(2 * self.inside / np.maximum(self.said + self.total, 1e-12))

    @property
    def risk(self) -> float | None:
        """The share, 0..1, of the overlap with the truth that is expected to be missing; None where nothing was seen.

        Of maps of classes it is 1 - the mean expected IoU, of edges 1 - the expected share of right ones.
        """
        if not self.total.sum():
            return None
        if self._soft:
            return float(1 - self.inside[0] / self.total[0])
        weight = 1 - np.exp(-self.total / (FEW_PIXELS * self.total.sum()))
        return float(1 - (weight * self.iou).sum() / weight.sum())


def promise_of(predictor: Predictor, blocks: Iterable[Block]) -> Promise:
    """Return what the blocks of an image promise."""
    promise = Promise(predictor.card.channels)
    for block in blocks:
        promise.add(block)
    return promise


def risk_of(predictor: Predictor, blocks: Sequence[Block], size: tuple[int, int]) -> float | None:
    """Return the risk of an image (height, width) that was predicted, given all of its blocks; see `image_risk`."""
    task, decoding = predictor.task, predictor.card.decoding
    result = task.decode(blocks, size, predictor.classes, decoding) if task.objects else None
    return image_risk(promise_of(predictor, blocks), result)


def image_risk(promise: Promise, result: Any) -> float | None:
    """Return the risk of an image: of objects 1 - their mean score, of anything else what its maps promise.

    Args:
        promise: of all of its blocks.
        result: that was decoded from them.

    Returns:
        0..1; None where a network that emits objects found none.
    """
    found = objects_of(result)
    scored = isinstance(result, Instances) or promise.risk is None
    if scored and found is not None and len(found):
        return float(1 - np.mean([entry.score for entry in found.objects]))
    return promise.risk


def objects_of(result: Any) -> Instances | None:
    """Return the objects of a result; None for a result without objects."""
    found = result.objects if isinstance(result, PanopticMap) else result
    return found if isinstance(found, Instances) else None


def object_risks(found: Instances, truth: Instances) -> NDArray[np.float64]:
    """Return risk and quality (n, 2) of the objects found but those in crowds.

    The risk of an object is 1 - its score, its quality the IoU with the true object that it overlaps most.
    """
    ids = to_map(truth)
    areas = np.array([0, *(entry.area for entry in truth.objects)])
    crowd = np.array([False, *(entry.crowd for entry in truth.objects)])
    rows = []
    for entry in found.objects:
        shared = np.bincount(ids[entry.rows, entry.columns][entry.mask], minlength=len(areas))[: len(areas)]
        if shared[crowd].sum() > IN_CROWD * entry.area:
            continue
        iou = shared[1:] / np.maximum(entry.area + areas[1:] - shared[1:], 1)
        rows.append((entry.risk, float(iou.max(initial=0.0))))
    return np.array(rows, np.float64).reshape(-1, 2)
