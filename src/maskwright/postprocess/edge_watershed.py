"""The edge watershed: regions of sure pixels grow into what is in doubt until they meet on the strongest edge.

Beucher and Meyer 1993, "The Morphological Approach to Segmentation: The Watershed Transformation": pixels whose
likeliest class has a probability of at least 1 - doubt are markers of their class. They flood the others in the order
of the strength of edges, which the network predicts beside its classes, so that two classes meet where it is highest. A
pixel that is flooded has its class with a probability of 1 - doubt, like the least sure of those that flood it: so the
threshold by which objects are found afterwards decides as the flood did. Its other classes share the rest as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, edges_beside
from maskwright.core.plan import EdgeWatershedPlan
from maskwright.metrics.judge import most_likely
from maskwright.ops.tiles import UNCUT, Cuts
from maskwright.postprocess.of_classes import OfClasses
from maskwright.postprocess.search import search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Sample
    from maskwright.postprocess.search import Fit

WHOLE = 1 << 22  # pixels: the flood holds about 100 bytes for each
VALUES = 1 << 26  # of all maps of a piece: 256 MB
REACH = 64.0  # pixels: doubt seldom extends further
STARTS = (0.05, 0.4)
"""Doubts that a fit tries too before it searches: a network that is sure of its classes gains most with small ones, but
one that was trained briefly has no sure pixel of some class then, and small steps change nothing."""


class EdgeWatershed(OfClasses):
    """The edge watershed; see `postprocess.base.Postprocessor`. The last map is the strength of edges, and stays."""

    label = "edge watershed"
    needs = "edges beside the classes, as models trained with `edges.weight` above 0 predict"
    reads = (CLASS_GROUP, EDGE_GROUP)
    improves = ("iou", "f1", "cell_ap", "pq", "boundary_iou")
    section = EdgeWatershedPlan
    limits: Mapping[str, tuple[float, float]] = {"doubt": (0.001, 0.5)}

    @property
    def reach(self) -> float:
        """How far regions usually grow."""
        return REACH

    @classmethod
    def takes(cls, groups: Sequence[Channels]) -> bool:
        """Whether the groups begin with a softmax over classes and end with the edges between regions."""
        return edges_beside(groups)

    def most_pixels(self, maps: int, channels: int) -> int:  # noqa: ARG002
        """Return the pixels of a piece."""
        return min(WHOLE, VALUES // maps)

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: Section, deadline: float | None) -> Fit:
        """Search the doubt by IoU and boundary IoU, from the best of `start` and `STARTS`."""
        return search(cls, samples, start, deadline, [EdgeWatershedPlan(doubt=doubt) for doubt in STARTS])

    def apply(self, maps: NDArray[np.float32], _image: NDArray[np.uint8], _cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Let the classes grow to the edges; the image is not looked at."""
        doubt, highest = np.float32(self.settings.doubt), maps[:-1].max(axis=0)
        sure = highest >= 1 - doubt
        result = maps.copy()
        if not sure.any():
            return result
        rows, columns = np.nonzero(highest < 1 - doubt)  # not where the image has no data, and the maps are NaN
        classes = grown(most_likely(maps[:-1]), sure, maps[-1])[rows, columns]
        others = maps[:-1, rows, columns]
        others[classes, np.arange(len(rows))] = 0
        result[:-1, rows, columns] = others * (doubt / others.sum(axis=0))
        result[classes, rows, columns] = 1 - doubt
        return result


def grown(labels: NDArray[np.uint8], sure: NDArray[np.bool_], strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return labels (H, W) where pixels that are not `sure` take that of the sure region that floods them first.

    Without any sure pixel, the labels stay.

    Args:
        labels: class indices (H, W).
        sure: (H, W), pixels that keep their label.
        strength: (H, W), of edges.
    """
    from skimage.segmentation import watershed

    if not sure.any():
        return labels
    markers = np.where(sure, labels.astype(np.int32) + 1, 0)
    return (watershed(strength, markers) - 1).astype(np.uint8)
