"""How the tensors of a network of objects become objects, whatever ran the network. Knows no network and no runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict, model_validator

from maskwright.core.plan_section import Section
from maskwright.models.objects.base import Found, ObjectTensors, QueryTensors, Segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

READING_KEY = "maskwright.objects"
"""Of a reading, in the metadata of a file."""
LEAST_SCORE = 0.05
"""Least score of the object of a query."""


class Reading(Section):
    """What is needed besides the tensors: one of the two.

    Attributes:
        aligned: of boxes, how masks lie in them, see `base.Found`.
        stride: of queries, that of their masks, see `base.Segments`.
    """

    model_config = ConfigDict(frozen=True)

    aligned: bool | None = None
    stride: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Reading:
        if (self.aligned is None) == (self.stride is None):
            raise ValueError("one of aligned (boxes) and stride (queries) must be given, and not both")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors."""
        return ObjectTensors._fields if self.stride is None else QueryTensors._fields

    def objects(self, tensors: Mapping[str, Tensor], images: int) -> list[Found | Segments]:
        """Return the objects of each image.

        Args:
            tensors: by name.
            images: N, of the batch.
        """
        if self.stride is not None:
            queries = QueryTensors(**tensors)
            return [segments(*one, self.stride) for one in zip(*queries, strict=True)]
        assert self.aligned is not None
        owner, *rest = ObjectTensors(**tensors)
        found: list[Found | Segments] = []
        for image in range(images):
            boxes, classes, scores, masks = (part[owner == image] for part in rest)
            found.append(Found(boxes, classes, scores, masks, self.aligned))
        return found


def segments(logits: Tensor, masks: Tensor, stride: int) -> Segments:
    """Return the objects among the queries of one image: logits (Q, K + 1) of classes, and of masks (Q, h, w).

    The first class is the background, which for objects means the same as "no object".
    """
    shares, rows = logits.softmax(dim=1)[:, 1:-1].max(dim=1)
    inside = masks > 0
    area = inside.sum(dim=(1, 2))
    scores = shares * (masks.sigmoid() * inside).sum(dim=(1, 2)) / area.clamp_min(1)
    order = scores.argsort(descending=True)
    order = order[(scores[order] >= LEAST_SCORE) & (area[order] > 0)]
    return Segments(rows[order] + 1, scores[order], masks[order], stride)
