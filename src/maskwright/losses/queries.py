"""The loss of queries: matched with the segments of the truth, one to one, after each layer. Knows no network.

Carion et al. 2020, "End-to-End Object Detection with Transformers" (DETR), section 3.1, with the terms and weights of
Cheng et al. 2022, "Masked-attention Mask Transformer", section 3.3 and appendix: for queries q matched with segments s,

    L = 2 mean of -log p_q(class of s) + 5 / S sum of (cross-entropy of the masks) + 5 / S sum of (1 - Dice)

summed over the layers. A query without a segment has the class "no object", which counts a tenth. The matching is the
one of the least cost, with -p in the place of -log p.

Where we differ: no more points are drawn than the masks have logits; pixels of which the annotation says nothing count
in no term, and an unmatched query that lies mostly there is not taught to be no object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.losses.points import TruthMap, at, evenly, uncertain_points
from maskwright.losses.reduce import global_ratio
from maskwright.ops.matching import matched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.losses.points import Seen
    from maskwright.losses.region_sampling import Truth

CLASS, CROSS_ENTROPY, DICE = 2.0, 5.0, 5.0
"""Weights of the terms, in the cost of a match and in the loss."""
NO_OBJECT = 0.1
"""Weight of a query without a segment in the term of the classes."""
POINTS = 12544
"""Most points at which a mask is compared."""


class Layer(Protocol):
    """The queries after one layer; see `models.objects.base.Queries`."""

    @property
    def classes(self) -> Tensor:
        """Logits (N, Q, K + 1), "no object" last."""

    @property
    def masks(self) -> Tensor:
        """Logits (N, Q, h, w)."""

    @property
    def stride(self) -> int:
        """Pixels of the image for each of the masks."""


class Terms(NamedTuple):
    """Sums over the queries of one image after one layer.

    Attributes:
        classes: weighted cross-entropy of the classes.
        weights: their sum.
        masks: cross-entropy and one minus Dice of the matched masks, weighted.
        segments: number of segments of the truth.
    """

    classes: Tensor
    weights: Tensor
    masks: Tensor
    segments: Tensor


def query_loss(layers: Sequence[Layer], truths: Sequence[Truth], seed: int) -> Tensor:
    """Return the loss of all layers, over the images of all processes.

    Args:
        layers: the queries before the first layer, and after each.
        truths: of each image; `rows` are places of classes in the logits.
        seed: of this step; the points of an image depend on it and on the image alone, not on its place in a batch.
    """
    height, width = layers[0].masks.shape[2:]
    size = height * layers[0].stride, width * layers[0].stride
    images = []
    for image, truth in enumerate(truths):
        there, random = TruthMap(truth, size), torch.Generator().manual_seed(seed)
        images.append([_terms(layer.classes[image], layer.masks[image], there, random) for layer in layers])
    total = layers[0].classes.new_zeros(())
    for terms in zip(*images, strict=True):
        classes, weights, masks, segments = (torch.stack(part).sum(dim=0) for part in zip(*terms, strict=True))
        total = total + CLASS * global_ratio(classes, weights) + global_ratio(masks, segments)
    return total


def _terms(logits: Tensor, masks: Tensor, truth: TruthMap, random: torch.Generator) -> Terms:
    """Match the queries of one image, and compare them: logits (Q, K + 1) and masks (Q, h, w)."""
    count = min(POINTS, masks[0].numel())
    queries, segments, unsure = _matched(logits, masks, truth, evenly(1, count, random, masks.device))
    wanted = torch.full((len(logits),), logits.shape[1] - 1, device=logits.device)
    weights = torch.where(unsure, 0.0, NO_OBJECT)
    wanted[queries], weights[queries] = truth.rows[segments], 1.0
    classes = (weights * F.cross_entropy(logits, wanted, reduction="none")).sum()
    own = masks[queries]
    with torch.no_grad():
        points = uncertain_points(own, count, random)
        seen = truth.each(points, segments)
    crossed, dice = mask_terms(at(own, points), seen)
    compared = (CROSS_ENTROPY * crossed + DICE * dice).sum()
    return Terms(classes, weights.sum(), compared, classes.new_tensor(float(len(truth.rows))))


@torch.no_grad()
def _matched(logits: Tensor, masks: Tensor, truth: TruthMap, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matched queries, their segments, and which queries (Q,) lie mostly where nothing is known."""
    found = at(masks, points.expand(len(masks), -1, -1))
    seen = truth.shared(points)
    pairs = matched(match_costs(logits, found, truth.rows, seen).double().cpu().numpy())
    queries, segments = (torch.from_numpy(part).to(masks.device) for part in pairs)
    shares = found.sigmoid()
    return queries, segments, 2 * (shares * (1 - seen.known)).sum(dim=1) > shares.sum(dim=1)


def match_costs(logits: Tensor, found: Tensor, rows: Tensor, seen: Seen) -> Tensor:
    """Return the cost (Q, S) of matching each query with each segment.

    Args:
        logits: (Q, K + 1) of the classes of queries.
        found: (Q, P), logits of their masks at points.
        rows: (S,) classes of the segments.
        seen: the segments at the points.
    """
    known, inside = seen.known, seen.inside * seen.known
    crossed = F.softplus(-found) @ inside.T + F.softplus(found) @ (known - inside).T
    shares = found.sigmoid()
    dice = 1 - (2 * shares @ inside.T + 1) / ((shares * known).sum(dim=1, keepdim=True) + inside.sum(dim=1) + 1)
    chance = logits.softmax(dim=1)[:, rows]
    return CROSS_ENTROPY * crossed / known.sum().clamp_min(1e-6) + DICE * dice - CLASS * chance


def mask_terms(found: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy (n,) and one minus Dice (n,) of masks at their points.

    Args:
        found: (n, P), logits.
        seen: the segments that they are compared with.
    """
    known = seen.known
    crossed = F.binary_cross_entropy_with_logits(found, seen.inside, weight=known, reduction="none").sum(dim=1)
    shares, inside = found.sigmoid(), seen.inside * known
    dice = 1 - (2 * (shares * inside).sum(dim=1) + 1) / ((shares * known).sum(dim=1) + inside.sum(dim=1) + 1)
    return crossed / known.sum(dim=1).clamp_min(1e-6), dice
