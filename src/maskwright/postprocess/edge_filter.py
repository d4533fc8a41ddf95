"""The edge filter: probabilities are averaged along rows and columns, but not across the edges that the network finds.

Chen, Barron, Papandreou, Murphy, Yuille 2016, "Semantic Image Segmentation with Task-Specific Edge Detection Using CNNs
and a Discriminatively Trained Domain Transform": the recursive filter of Gastal and Oliveira 2011, "Domain Transform
for Edge-Aware Image and Video Processing", with predicted edges instead of the gradient of the image. Along a row or a
column, with e the strength of the edge between a pixel and the one before it,

    y_i = (1 - w_i) x_i + w_i y_(i-1)        w_i = exp(-sqrt(2) (1 + e_i sigma / edge) / sigma_k)

first in one direction, then back, rows before columns, in three passes of decreasing sigma_k, whose variances add up to
sigma squared.

Where we differ: the filter follows the training, and its settings are fitted on validation images, so the network
learns the edges from the boundaries of the masks; the edge between two pixels is the weaker of their strengths, because
those edges are two pixels wide.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from maskwright.core.channels import edges_beside
from maskwright.core.plan import EdgeFilterPlan
from maskwright.postprocess.search import describe, search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Sample
    from maskwright.postprocess.search import SearchFit

PASSES = 3
REACH = 3  # standard deviations, beyond which little is left of a pixel
VALUES = 1 << 26  # of all maps of a piece: 256 MB, held three times


class EdgeFilter:
    """The edge filter; see `postprocess.base.Postprocessor`. The last map is the strength of edges, and stays."""

    label = "edge filter"
    needs = "edges beside the classes, as models trained with `edges.weight` above 0 do"
    improves: tuple[str, ...] = ("iou", "boundary_iou")
    axes: ClassVar[Mapping[str, tuple[float, float]]] = {"sigma": (1.0, 100.0), "edge": (0.001, 10.0)}

    def __init__(self, settings: Section | None = None) -> None:
        assert settings is None or isinstance(settings, EdgeFilterPlan)
        self.settings = settings or EdgeFilterPlan()

    @property
    def reach(self) -> float:
        """Three standard deviations."""
        return REACH * self.settings.sigma

    @classmethod
    def takes(cls, groups: Sequence[Channels]) -> bool:
        """Whether the groups are a softmax over classes, and the edges between them."""
        return edges_beside(groups)

    def most_pixels(self, maps: int, channels: int) -> int:  # noqa: ARG002
        """Return the pixels of a piece."""
        return VALUES // maps

    def apply(self, maps: NDArray[np.float32], _image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Filter the probabilities of the classes; the image is not looked at."""
        classes, strength = maps[:-1], maps[-1]
        return np.concatenate([filtered(classes, strength, self.settings), strength[None]])

    def describe(self) -> str:
        """Write the settings in one line."""
        return describe(self.settings)

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: EdgeFilterPlan, deadline: float | None) -> SearchFit:
        """Search both settings by IoU and boundary IoU."""
        return search(cls, samples, start, deadline)


def filtered(
    values: NDArray[np.float32], strength: NDArray[np.float32], settings: EdgeFilterPlan
) -> NDArray[np.float32]:
    """Average values (K, H, W) along rows and columns, but not across edges of a strength (H, W) in 0..1."""
    across = np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)
    for place in range(PASSES):
        sigma = settings.sigma * math.sqrt(3 / (4**PASSES - 1)) * 2 ** (PASSES - 1 - place)
        across = _swept(across, _weights(strength.T, settings, sigma))
        down = _swept(np.ascontiguousarray(across.transpose(2, 1, 0)), _weights(strength, settings, sigma))
        across = np.ascontiguousarray(down.transpose(2, 1, 0))
    return np.ascontiguousarray(across.transpose(1, 2, 0))


def _weights(strength: NDArray[np.float32], settings: EdgeFilterPlan, sigma: float) -> NDArray[np.float32]:
    """Return how much a value depends on that of the pixel before it (n - 1, m), along the first axis of (n, m)."""
    between = np.minimum(strength[:-1], strength[1:])
    return np.exp(-math.sqrt(2) / sigma * (1 + between * (settings.sigma / settings.edge))).astype(np.float32)


def _swept(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter values (n, K, m) in place along the first axis, there and back."""
    for i in range(1, len(values)):
        values[i] += weights[i - 1] * (values[i - 1] - values[i])
    for i in range(len(values) - 2, -1, -1):
        values[i] += weights[i] * (values[i + 1] - values[i])
    return values
