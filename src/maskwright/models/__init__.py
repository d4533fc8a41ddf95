"""Models: image to logits. They know no loss and no data set, and of a plan only their own part."""

from __future__ import annotations

from maskwright.models.backbones import BACKBONES
from maskwright.models.backbones.hub import pretrained_available
from maskwright.models.build import create, create_from_plan, options_of
from maskwright.models.catalog import MODELS, OBJECT_MODELS, PIXEL_MODELS
from maskwright.models.segmenter import Segmenter

__all__ = [
    "BACKBONES",
    "MODELS",
    "OBJECT_MODELS",
    "PIXEL_MODELS",
    "Segmenter",
    "create",
    "create_from_plan",
    "options_of",
    "pretrained_available",
]
