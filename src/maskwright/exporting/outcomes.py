"""What a network says of a tile, as tensors that can be compared when a part of it is rounded. Knows no file.

Objects cannot be compared one by one: which boxes stay depends on all scores. So Mask R-CNN classifies and draws the
same boxes each time, the best that it proposes when nothing is rounded; their classes, corrections and masks are
compared, and so is what is said of all anchors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from maskwright.inference.maps import activated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.exporting.graph import Graph

    Outcome = Callable[[], Sequence[Tensor]]
    """Runs the network as it is now on one tile."""

BOXES = 100
"""That are classified and drawn: as many as an image has objects at most, unless set otherwise."""


def outcome(graph: Graph, tile: NDArray[np.uint8], groups: Sequence[Channels]) -> Outcome:
    """Return what runs a network on a tile.

    Args:
        graph: of the network.
        tile: uint8 (1, h, w, channels).
        groups: of the channels that it emits.
    """
    image = torch.from_numpy(tile)
    if graph.reading is None:
        counts = [group.count for group in groups]
        return lambda: activated(graph(image), groups).split(counts, 1)
    return _regions(graph, image)


def _regions(graph: Graph, image: Tensor) -> Outcome:
    """Return what compares anchors, and boxes that the first run chooses."""
    network, x = cast("Any", graph.segmenter), graph.normalised(image)
    fixed: list[list[Tensor]] = []

    def choose(_anchors: Tensor, proposals: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        if not fixed:
            fixed.append([boxes[:BOXES] for boxes in proposals])
        return fixed[0], fixed[0]

    def run() -> Sequence[Tensor]:
        objectness, shifts, classes, corrections, masks, _ = network(x, choose=choose)
        return objectness.sigmoid(), shifts, classes.softmax(1), corrections, masks.sigmoid()

    return run
