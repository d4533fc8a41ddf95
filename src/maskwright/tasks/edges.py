"""Edges: lines of one pixel between regions, as people draw them. The network says how likely each pixel is on one.

The network emits one sigmoid channel. Its maps are thinned to ridges (non-maximum suppression), and lines are ridges of
at least the fitted threshold together with weaker ones that continue them (hysteresis).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright import losses
from maskwright.core.channels import EDGE_GROUP, edge_channel
from maskwright.core.edges import Edges
from maskwright.core.targets import Target
from maskwright.data import edge_results
from maskwright.data.edges import edge_labels
from maskwright.data.labels import read_edges
from maskwright.metrics.edge_summary import EDGE_METRICS
from maskwright.tasks import edge_files, edge_pictures
from maskwright.tasks.base import Task
from maskwright.tasks.edge_fit import fit_edges
from maskwright.tasks.edge_judge import ROUGH, EdgeJudge, seconds_of
from maskwright.tasks.edge_loss import EdgeLoss
from maskwright.tasks.edge_map import EdgeMap, linking_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.core.read_options import Meaning
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Adjustments, Decoding, Legend, Painted, Seen
    from maskwright.tasks.block import Block
    from maskwright.tasks.writer import Writer


class EdgeDetection(Task):
    """The task `edges`; see `tasks.base.Task` for what each method does."""

    fit_seconds = 60.0
    rough = ROUGH
    planes = 1
    planned_loss = True
    annotation: Meaning = "edges"
    headline = EDGE_METRICS[0]
    writers: Mapping[str, Writer] = edge_files.WRITERS

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return one channel, the probability of an edge."""
        return (edge_channel(),)

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read what each person drew."""
        found = read_edges(dataset, record, size)
        return Target(edge_labels(found), edges=Edges.of(found.people, size))

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the share of people who drew an edge at each pixel."""
        found = read_edges(dataset, record, size)
        shares = found.shares if found.unknown is None else np.where(found.unknown, np.float32(np.nan), found.shares)
        return Target(edge_labels(found), shares[None])

    def random_target(self, rng: np.random.Generator, size: tuple[int, int], classes: Classes) -> Target:
        """Return random shares."""
        shares = rng.choice(np.array([0, 0.2, 1], np.float32), size, p=(0.9, 0.05, 0.05))
        return Target((shares > 0).astype(np.uint8), shares[None])

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return the shares, NaN where nothing is known."""
        assert target.values is not None
        return {EDGE_GROUP: target.values}

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the pixels that people agree about."""
        return EdgeLoss(plan.edges, losses.weighted_sum(plan.loss, self.channels(classes)[0]))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the thresholds of lines."""
        return fit_edges(seen, deadline)

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> EdgeMap:
        """Put the blocks together."""
        return EdgeMap.of(blocks, size, linking_of(decoding))

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> EdgeJudge:
        """Return a judge of edges; a quick one tries few thresholds."""
        return EdgeJudge(quick=quick)

    def judging_seconds(self, blocks: Iterable[Block], target: Target, classes: Classes) -> float:
        """Estimate them from a few of the thresholds."""
        return seconds_of(blocks, target)

    def truth(self, target: Target) -> EdgeMap:
        """Return the share of people who drew an edge."""
        return EdgeMap.drawn(target)

    def overlay(self, image: NDArray[Any], result: EdgeMap, classes: Classes) -> NDArray[np.uint8]:
        """Draw the lines on the image."""
        return edge_results.overlay(image, result.lines)

    def paint(self, image: NDArray[np.uint8], target: Target, result: EdgeMap, classes: Classes) -> Painted:
        """Draw image, truth, strength and errors."""
        return edge_pictures.paint(image, target, result)

    def legend(self, targets: Iterable[Target], results: Iterable[EdgeMap], classes: Classes) -> Legend:
        """Return the kinds of errors."""
        return edge_pictures.LEGEND

    def describe(self, result: EdgeMap, classes: Classes) -> dict[str, int | float]:
        """Return the length of all lines, in pixels, and the share of the image that they fill."""
        pixels = int(result.lines.sum())
        return {"edge_pixels": pixels, "share": pixels / max(result.lines.size, 1)}
