"""The catalog of architectures that are trained on objects instead of maps."""

from __future__ import annotations

from maskwright.models.entry import ModelEntry
from maskwright.models.objects import mask2former

OBJECT_MODELS: dict[str, ModelEntry] = {
    "maskrcnn": ModelEntry(
        "maskwright.models.objects.maskrcnn",  # its layers are torchvision's
        "He et al., Mask R-CNN",
        2017,
        "https://arxiv.org/abs/1703.06870",
        "compact",
        "boxes, each with a class and a mask: objects that overlap, from a few to hundreds per image",
        slim={"width": 32},
        tasks=("instance",),
        learns="regions",
    ),
    "mask2former": ModelEntry(
        mask2former.build,
        "Cheng et al., Masked-attention Mask Transformer",
        2022,
        "https://arxiv.org/abs/2112.01527",
        "compact",
        "queries, each with a class and a mask: objects, classes of pixels or both by one network",
        slim={"width": 64, "layers": [1, 3]},
        tasks=("instance", "semantic", "panoptic"),
        learns="queries",
    ),
}
"""Architectures that are trained on objects, each for the tasks that it names."""
