"""The catalog of architectures that emit objects instead of maps."""

from __future__ import annotations

from maskwright.models.entry import ModelEntry
from maskwright.models.objects import maskrcnn

OBJECT_MODELS: dict[str, ModelEntry] = {
    "maskrcnn": ModelEntry(
        maskrcnn.build,
        "He et al., Mask R-CNN",
        2017,
        "https://arxiv.org/abs/1703.06870",
        "compact",
        "boxes, each with a class and a mask: objects that overlap, few to hundreds an image",
        slim={"width": 32},
        tasks=("instance",),
    ),
}
"""Architectures that emit objects, each for the tasks that it names."""
