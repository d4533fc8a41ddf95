"""The boundary loss: probability on the wrong side of the true boundary, weighted by its distance from the boundary.

Kervadec, Bouchtaoui, Desrosiers, Granger, Dolz, Ben Ayed 2019, "Boundary loss for highly unbalanced segmentation": with
phi the signed distance to the boundary of the true region g, negative inside, and s the predicted probability, half the
distance between the two boundaries is the sum of phi (s - g) over all pixels. It carries little information while the
prediction is far off, so combine it with a region loss. The authors start almost with the region loss alone and raise
the share of this loss every epoch.

Where we differ: the share is its weight in `loss.terms` and stays constant during a training; g stays in the sum, a
constant that puts the minimum at 0; distances are measured to the edge between two pixels, as a share of the map's
diagonal, so that a weight means the same at every size; the sum over several classes is halved, because every pixel
that one class wrongly gains is lost by another. Ignored pixels do not count: a boundary inside them is measured from
the labelled pixels on either side. A class that is absent from an image, or fills it, has no boundary there and costs
nothing. The exact distance transforms run on the CPU, at the stride of the logits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright.ops.distance import signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.losses.prepared import Prepared


def boundary(batch: Prepared) -> Tensor:
    """Return the mean over pixels of half the sum over classes of phi (s - g); for one channel, that of label 1.

    Args:
        batch: logits (N, K, H, W) and labels (N, H, W).
    """
    fields = signed_fields(batch)
    if batch.binary:
        return batch.mean(fields[:, 0] * (batch.probabilities[:, 0] - batch.labels))
    given = (fields * batch.probabilities).sum(1)
    return batch.mean(given - fields.gather(1, batch.labels[:, None])[:, 0]) / 2


def signed_fields(batch: Prepared) -> Tensor:
    """Return phi (N, K, H, W), as a share of the diagonal; for one channel, that of label 1."""
    labels = batch.labels.to(torch.uint8).cpu().numpy()
    known = batch.mask.cpu().numpy() > 0
    shape = tuple(batch.logits.shape)
    fields: NDArray[np.float32] = np.zeros(shape, np.float32)
    for number in range(shape[0]):
        for label in np.unique(labels[number][known[number]]).tolist():
            if label or not batch.binary:
                inside = known[number] & (labels[number] == label)
                fields[number, 0 if batch.binary else label] = signed_distance(inside, known[number] & ~inside)
    return torch.from_numpy(fields).to(batch.mask) / math.hypot(*shape[2:])
